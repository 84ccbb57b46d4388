"""`aiops demo`: the real service, a simulated fleet that misbehaves, and what comes of it."""

import argparse
import contextlib
import signal
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import yaml
from rich.console import Console

from aiops.cli.demo_flow import Demo, DemoParts
from aiops.cli.demo_service import DemoError, ServiceClient, log_tail, service_process
from aiops.cli.demo_view import LiveReporter, PlainReporter, Reporter
from aiops.cli.exit_codes import ExitCode
from aiops.clock import SystemClock
from aiops.evaluate.fleet import Fleet

N_SERVICES = 40
LISTEN = "127.0.0.1:9800"
ANY_ADDRESS = ("", "0.0.0.0", "::")  # noqa: S104 - compared with, never bound

PLAYBOOK_FILE = "playbook.yaml"

CORRELATE = {"labels": ["job"], "window_s": 20, "quiet_s": 5, "reopen_s": 0}
"""Chosen: a fault and what it does to callers make one incident, which ends before the next begins.
"""


ACTION_HOST = "deploy.invalid:8080"
"""A name that can never resolve (RFC 2606 section 2): even a fault of ours would call nobody."""

PLAYBOOK = {
    "name": "restart-suspect",
    "description": "Would ask a deployment service to restart what an incident is about",
    "match": "{}",
    "events": ["opened", "reopened"],
    "mode": "dry-run",
    "cool_down_s": 0,
    "action": {
        "http": {
            "method": "POST",
            "url": f"http://{ACTION_HOST}/restart/{{incident_id}}",
            "body": {"reason": "{title}", "severity": "{severity}"},
        }
    },
}


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the `demo` command to the command line."""
    parser = subparsers.add_parser(
        "demo",
        help="watch the service at work on a simulated fleet",
        description="Starts the real service, pushes a simulated fleet of 40 services to it and "
        "breaks one of them every minute or two. Nothing outside this machine is called: "
        "actions are dry-run.",
    )
    parser.add_argument("--listen", default=LISTEN, help="HOST:PORT (%(default)s)")
    parser.add_argument(
        "--data-dir", type=Path, help="keep the data here (default: temporary, removed at the end)"
    )
    parser.add_argument("--seconds", type=float, help="stop after this long of live data")
    parser.add_argument(
        "--seed", type=int, default=1, help="decides fleet and faults (%(default)s)"
    )
    parser.add_argument("--plain", action="store_true", help="one line per event, no live view")


def run(args: argparse.Namespace) -> int:
    """Run the demo until Ctrl-C, SIGTERM or `--seconds`; return the exit code.

    Raises
    ------
    DemoError
        When the service does not start, dies, or does not take the samples.
    """
    console, clock = Console(), SystemClock()
    is_plain = args.plain or not console.is_terminal
    reporter = (PlainReporter if is_plain else LiveReporter)(console, clock.now_ms)
    lines: list[str] = []
    try:
        with _interrupted_by_signals(), _data_folder(args.data_dir) as folder:
            _drive(args, folder, reporter, lines)
    except KeyboardInterrupt:
        lines.append("stopped")
    finally:
        for line in lines:
            console.print(line, soft_wrap=True, markup=False, highlight=False)
    return ExitCode.OK


def demo_config(folder: Path, listen: str) -> dict[str, object]:
    """Return the configuration of the demo's service."""
    return {
        "data_dir": str(folder / "data"),
        "server": {"listen": listen},
        "correlate": CORRELATE,
        "remediate": {
            "mode": "dry-run",
            "playbooks": [str(folder / PLAYBOOK_FILE)],
            "url_allow": [ACTION_HOST],
            "actions_per_hour_max": 1000,
        },
    }


def split_listen(listen: str) -> tuple[str, int]:
    """Return host and port of HOST:PORT; port 0 becomes one that is free now.

    Raises
    ------
    DemoError
        When it is no HOST:PORT, or the port is taken.
    """
    host, _, port = listen.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65_535:
        raise DemoError(f"--listen must be HOST:PORT, not {listen!r}")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host.strip("[]"), int(port)))
        except OSError as error:
            raise DemoError(
                f"cannot listen on {listen} ({error}); choose another --listen"
            ) from error
        return host, int(probe.getsockname()[1])


def _drive(args: argparse.Namespace, folder: Path, reporter: Reporter, lines: list[str]) -> None:
    host, port = split_listen(args.listen)
    config_path, log_path = folder / "aiops.yaml", folder / "service.log"
    config_path.write_text(yaml.safe_dump(demo_config(folder, f"{host}:{port}")))
    (folder / PLAYBOOK_FILE).write_text(yaml.safe_dump(PLAYBOOK))
    called = "127.0.0.1" if host in ANY_ADDRESS else host.strip("[]")
    client = ServiceClient(called, port)
    parts = DemoParts(client, reporter, SystemClock(), f"http://{called}:{port}")
    demo = Demo(parts, Fleet(args.seed, N_SERVICES), args.seed)
    with reporter, contextlib.closing(client), service_process(config_path, log_path) as process:
        try:
            demo.wait_until_ready(process)
            demo.fill_history()
            demo.run_live(args.seconds)
        except DemoError as error:
            raise DemoError(f"{error}\nthe end of its log:\n{log_tail(log_path)}") from error
        finally:
            lines.extend(demo.summary())
            reporter.event("ending the service")


@contextlib.contextmanager
def _data_folder(given: Path | None) -> Iterator[Path]:
    if given is not None:
        given.mkdir(parents=True, exist_ok=True)
        yield given.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="aiops-demo-") as name:
        yield Path(name)


@contextlib.contextmanager
def _interrupted_by_signals() -> Iterator[None]:
    """Let SIGTERM and a closed terminal end the demo as Ctrl-C does, so that nothing is left."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
