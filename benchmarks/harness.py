"""Processes under measurement: start them, push to them, read their CPU and memory, end them.

CPU is user + system time of the server and all its descendants from `/proc/PID/stat`, so a rival's
garbage collection, merging and flushing count as much as our scoring and sealing. Linux only.
"""

import contextlib
import hashlib
import http.client
import importlib.metadata
import os
import platform
import signal
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
REPOSITORY = Path(__file__).resolve().parent.parent
READY_TIMEOUT_S = 180.0
"""The first start of the service compiles its kernels."""
POLL_S = 0.1
SETTLE_SHARE, SETTLE_WINDOW_S, SETTLE_TIMEOUT_S = 0.05, 1.0, 30.0
"""Background work is over when a process uses less than 5 % of one core for one second."""
SEND_ATTEMPTS_MAX = 60


class BenchmarkError(Exception):
    """The run is worthless: a server failed, refused data, or answered wrongly."""


@dataclass(frozen=True, slots=True)
class Server:
    """How to start one server and where to talk to it.

    Parameters
    ----------
    argv
        The command line; `port` is what it listens on.
    ready_path, write_path, query_path
        GET answers 200 when it is ready; POST takes remote write; GET is the range query.
    settings
        What differs from its defaults, for the record.
    """

    name: str
    version: str
    argv: tuple[str, ...]
    port: int
    ready_path: str
    write_path: str = "/api/v1/write"
    query_path: str = "/api/v1/query_range"
    query_extra: tuple[tuple[str, str], ...] = ()
    settings: str = "defaults"


@dataclass(slots=True)
class Timings:
    """Latencies of the requests of one phase, and how often the server asked to come again."""

    latency_s: list[float] = field(default_factory=list)
    n_retries: int = 0

    def percentile_ms(self, share: float) -> float:
        """Return a percentile of the latencies in milliseconds, nearest rank."""
        ordered = sorted(self.latency_s)
        return 1000.0 * ordered[min(int(share * len(ordered)), len(ordered) - 1)]


def free_port() -> int:
    """Return a TCP port of the loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def ended_by_signals() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP into KeyboardInterrupt, so that clean-up runs as for Ctrl-C."""

    def interrupt(_signum: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = {
        number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """Give a fresh folder on a real disk and remove it with everything in it."""
    with tempfile.TemporaryDirectory(prefix="aiops-bench-", ignore_cleanup_errors=True) as name:
        yield Path(name)


@contextlib.contextmanager
def running(
    server: Server,
    folder: Path,
    *,
    environment: Mapping[str, str] | None = None,
    poll_s: float = POLL_S,
) -> Iterator[int]:
    """Start a server, wait until it is ready, give its process id, and end it in any case.

    Parameters
    ----------
    folder
        Where it runs and where `server.log` takes its output.
    environment
        Variables set beside those of this process.
    poll_s
        How often it is asked whether it is ready.
    """
    log_path = folder / "server.log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            server.argv,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=clean_environment() | dict(environment or {}),
            start_new_session=True,  # Ctrl-C in the terminal must reach it through us alone
        )
        try:
            _wait_until_ready(server, process, log_path, poll_s)
            yield process.pid
        finally:
            _end(process)


def clean_environment() -> dict[str, str]:
    """Return the variables of this process without settings of the service."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("AIOPS_")}
    return kept | {"PYTHONPATH": str(REPOSITORY)}


def _wait_until_ready(
    server: Server, process: subprocess.Popen[bytes], log_path: Path, poll_s: float
) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise BenchmarkError(f"{server.name} ended by itself:\n{_tail(log_path)}")
        with contextlib.suppress(OSError, http.client.HTTPException):
            if get(server.port, server.ready_path)[0] == 200:
                return
        time.sleep(poll_s)
    raise BenchmarkError(f"{server.name} not ready in {READY_TIMEOUT_S:.0f} s:\n{_tail(log_path)}")


def _tail(path: Path) -> str:
    return path.read_text(errors="replace")[-2000:]


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def get(port: int, path: str, timeout_s: float = 60.0) -> tuple[int, bytes]:
    """Return status and body of a GET on the loopback."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


class Sender:
    """Pushes bodies over one keep-alive connection, each until the server takes it."""

    def __init__(self, server: Server, headers: dict[str, str]) -> None:
        self._server = server
        self._headers = headers
        self._connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)

    def send_all(self, bodies: Iterable[bytes], timings: Timings) -> None:
        """Push bodies one after another.

        Raises
        ------
        BenchmarkError
            When the server refuses one for good.
        """
        for body in bodies:
            self._send(body, timings)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _send(self, body: bytes, timings: Timings) -> None:
        for _ in range(SEND_ATTEMPTS_MAX):
            started_s = time.perf_counter()
            self._connection.request("POST", self._server.write_path, body, self._headers)
            answer = self._connection.getresponse()
            text = answer.read()
            timings.latency_s.append(time.perf_counter() - started_s)
            if answer.status // 100 == 2:
                return
            if answer.status not in (429, 503):
                detail = text.decode(errors="replace")[:500]
                raise BenchmarkError(f"{self._server.name} answered {answer.status}: {detail}")
            timings.n_retries += 1
            time.sleep(min(float(answer.headers.get("Retry-After", "1")), 5.0))
        raise BenchmarkError(f"{self._server.name} asked to come again {SEND_ATTEMPTS_MAX} times")


def cpu_s(pid: int) -> float:
    """Return user + system CPU seconds of a process, its live and its ended descendants."""
    return sum(_own_cpu_s(each) for each in _family(pid))


def rss_bytes(pid: int) -> int:
    """Return resident memory of a process and its descendants (shared pages count each time)."""
    return sum(_own_rss_bytes(each) for each in _family(pid))


def settle(pid: int) -> bool:
    """Wait until a process does no more background work; tell whether that was reached."""
    deadline = time.monotonic() + SETTLE_TIMEOUT_S
    before_s, at_s = cpu_s(pid), time.monotonic()
    while time.monotonic() < deadline:
        time.sleep(SETTLE_WINDOW_S)
        now_s, now_at_s = cpu_s(pid), time.monotonic()
        if (now_s - before_s) / (now_at_s - at_s) < SETTLE_SHARE:
            return True
        before_s, at_s = now_s, now_at_s
    return False


def _family(pid: int) -> list[int]:
    found = [pid]
    for parent in found:
        for path in Path(f"/proc/{parent}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                found.extend(int(child) for child in path.read_text().split())
    return found


def _own_cpu_s(pid: int) -> float:
    text = Path(f"/proc/{pid}/stat").read_text()
    fields = text[text.rindex(")") + 2 :].split()  # the name may hold spaces and brackets
    return sum(int(ticks) for ticks in fields[11:15]) / TICKS_PER_S


def _own_rss_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def digest(bodies: Iterable[bytes], so_far: "hashlib._Hash") -> None:
    """Fold bodies into a hash, to show that every server got the same ones."""
    for body in bodies:
        so_far.update(body)


def median(values: Sequence[float]) -> float:
    """Return the median of a non-empty sequence."""
    return statistics.median(values)


def spread(values: Sequence[float]) -> list[float]:
    """Return smallest and largest value."""
    return [min(values), max(values)]


def describe_machine() -> dict[str, str | int | float]:
    """Return what a reader needs to judge a figure: machine, versions, commit, date."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "cpu": _cpu_model(),
        "cores": os.cpu_count() or 0,
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "numba": importlib.metadata.version("numba"),
        "numpy": importlib.metadata.version("numpy"),
    }


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def _commit() -> str:
    head = _git("rev-parse", "--short=12", "HEAD")
    return (head + ("+changes" if _git("status", "--porcelain", "aiops") else "")) or "unknown"


def _git(*arguments: str) -> str:
    command = ("git", "-C", str(REPOSITORY), *arguments)
    return subprocess.run(command, check=False, capture_output=True, text=True).stdout.strip()
