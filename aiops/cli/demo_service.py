"""The demo's service: the real program as a child process, and an HTTP client for it."""

import contextlib
import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import orjson

from aiops.domain.incident import Incident
from aiops.domain.incident_json import incident_from_json
from aiops.errors import AiopsError
from aiops.evaluate.remote_write_encode import REMOTE_WRITE_HEADERS, encode_snappy

STOP_TIMEOUT_S = 10.0
"""Chosen: the service drains for 8 s at most (server.drain_timeout_s), then snapshots."""
REQUEST_TIMEOUT_S = 30.0
PUSH_ATTEMPTS_MAX = 60
WAIT_S_MAX = 5.0
LOG_TAIL_BYTES = 3000
INCIDENTS_PATH = "/api/v1/incidents?limit=20"


class DemoError(AiopsError):
    """The demo cannot go on; the text says why and what to do."""


@contextlib.contextmanager
def service_process(config_path: Path, log_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Run `aiops serve` as a child while inside; end it with SIGTERM, at last with SIGKILL.

    The child is in its own session, so that Ctrl-C in the terminal reaches it only through us.
    """
    command = (sys.executable, "-m", "aiops.cli.main", "serve", "--config", str(config_path))
    with log_path.open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - our own program, argv made here, no shell
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=service_environment(os.environ),
            start_new_session=True,
        )
        try:
            yield process
        finally:
            stop_process(process)


def service_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without `AIOPS_` variables, which would overlay the demo's config."""
    return {name: value for name, value in environment.items() if not name.startswith("AIOPS_")}


def stop_process(process: "subprocess.Popen[bytes]", timeout_s: float = STOP_TIMEOUT_S) -> None:
    """End a child in order, or by force when it takes longer than `timeout_s`."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def log_tail(log_path: Path) -> str:
    """Return the end of the child's log, for the message about its death."""
    return log_path.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace").strip()


class ServiceClient:
    """Talks to the service over one keep-alive connection; for one thread.

    Parameters
    ----------
    sleep
        Called with seconds when the service asks to come again.
    """

    def __init__(
        self, host: str, port: int, *, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._connection = http.client.HTTPConnection(host, port, timeout=REQUEST_TIMEOUT_S)
        self._sleep = sleep

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def is_ready(self) -> bool:
        """Tell whether the service answers and says it is ready."""
        try:
            return self._request("GET", "/-/ready")[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def push(self, body: bytes) -> None:
        """Push an uncompressed remote-write request until the service has taken it.

        Raises
        ------
        DemoError
            When it is refused for good, or the service stays overloaded.
        """
        packed = encode_snappy(body)
        for _ in range(PUSH_ATTEMPTS_MAX):
            status, answer, wait_s = self._answered("POST", "/api/v1/write", packed)
            if status // 100 == 2:
                return
            if status not in (429, 503):
                text = answer.decode(errors="replace")[:500]
                raise DemoError(f"the service refused simulated samples with {status}: {text}")
            self._sleep(wait_s)
        raise DemoError(f"the service was overloaded {PUSH_ATTEMPTS_MAX} times in a row")

    def incidents(self) -> tuple[Incident, ...]:
        """Return the newest incidents, newest first.

        Raises
        ------
        DemoError
            When the answer is not 200.
        """
        status, answer, _ = self._answered("GET", INCIDENTS_PATH)
        if status != 200:
            raise DemoError(f"the service answered {status} to {INCIDENTS_PATH}")
        return tuple(incident_from_json(item) for item in orjson.loads(answer)["incidents"])

    def _answered(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes, float]:
        try:
            return self._request(method, path, body)
        except (OSError, http.client.HTTPException) as error:
            raise DemoError(
                f"the service does not answer: {error or type(error).__name__}"
            ) from error

    def _request(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes, float]:
        headers = REMOTE_WRITE_HEADERS if body else {}
        try:
            self._connection.request(method, path, body or None, headers)
            response = self._connection.getresponse()
            answer = response.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()  # a broken exchange leaves it unusable; the next one dials
            raise
        return response.status, answer, _retry_after_s(response.headers.get("Retry-After", ""))


def _retry_after_s(text: str) -> float:
    return min(float(text), WAIT_S_MAX) if text.isdigit() else 1.0
