"""Real processes under a test: started on loopback, stopped whatever happens, logs shown."""

import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

T = TypeVar("T")

POLL_S = 0.1
LOG_CHARS_MAX = 6000
STOP_TIMEOUT_S = 10.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], T], timeout_s: float, what: str) -> T:
    """Return the first truthy answer of `condition`; fail when none came in time."""
    deadline_s = time.monotonic() + timeout_s
    while True:
        if answer := condition():
            return answer
        if time.monotonic() > deadline_s:
            pytest.fail(f"after {timeout_s:g} s still not: {what}")
        time.sleep(POLL_S)


def is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2.0) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


def tell(text: str) -> None:
    """Write a measured fact where `pytest -s` and a failure's report show it."""
    sys.stdout.write(text + "\n")


class Programs:
    """Processes of one test, each with its log in a file of the test's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._running: list[tuple[str, subprocess.Popen[bytes]]] = []

    def start(
        self, name: str, *command: str, env: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        with self.log_path(name).open("ab") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env
            )
        self._running.append((name, process))
        return process

    def log_path(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def stop_all(self) -> None:
        """Stop in reverse order of start: senders were started after what they send to."""
        for _, process in reversed(self._running):
            stop(process)

    def show_logs(self) -> None:
        for name in dict.fromkeys(name for name, _ in self._running):
            text = self.log_path(name).read_text(errors="replace")
            tell(f"--- {name} ---\n{text[-LOG_CHARS_MAX:]}")


def stop(process: subprocess.Popen[bytes]) -> int:
    """End a process, gently first; return its exit code."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        return process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


@contextmanager
def programs(folder: Path) -> Iterator[Programs]:
    """Yield a set of processes that is empty again afterwards; logs are shown when it failed."""
    running = Programs(folder)
    try:
        yield running
    except BaseException:
        running.show_logs()
        raise
    finally:
        running.stop_all()


def output_of(
    command: Sequence[str], *, timeout_s: float = 20.0, env: Mapping[str, str] | None = None
) -> str:
    """Return what a command printed; fail when it did not succeed."""
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=timeout_s, check=False, env=env
    )
    assert done.returncode == 0, f"{' '.join(command)}: {done.returncode}\n{done.stderr}"
    return done.stdout
