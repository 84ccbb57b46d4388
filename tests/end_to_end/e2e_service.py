"""The service as its users run it: `aiops serve` in a process of its own."""

import functools
import http.client
import os
import subprocess
import sys
import urllib.parse
from pathlib import Path
from typing import Any

import orjson
from e2e_programs import Programs, free_port, is_ready, output_of, wait_until

ROOT = Path(__file__).parents[2]
AIOPS = (sys.executable, "-m", "aiops.cli.main")
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT)}
"""The code beside these tests is what they are about, whatever else is installed."""

READY_TIMEOUT_S = 15.0
"""A warm start takes 1.5 s; a machine busy with other tests may need far longer."""

COMPILE_TIMEOUT_S = 180.0


@functools.cache
def compile_kernels() -> None:
    """Fill the cache of kernels, once a run, so that no start has to wait for the compiler."""
    output_of([sys.executable, "-m", "aiops.warm"], timeout_s=COMPILE_TIMEOUT_S, env=ENVIRONMENT)


class Service:
    """One `aiops serve` on a data directory, startable again and again at the same address."""

    def __init__(self, programs: Programs, config: Path, *, port: int = 0) -> None:
        self._programs = programs
        self._config = config
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.data_dir = programs.folder / "data"
        compile_kernels()
        self.process: subprocess.Popen[bytes] | None = None

    def launch(self) -> subprocess.Popen[bytes]:
        """Start the process and do not wait."""
        flags = ["--listen", f"127.0.0.1:{self.port}", "--data-dir", str(self.data_dir)]
        self.process = self._programs.start(
            "aiops", *AIOPS, "serve", "--config", str(self._config), *flags, env=ENVIRONMENT
        )
        return self.process

    def start(self) -> None:
        """Start the process and wait until it is ready."""
        process = self.launch()
        wait_until(
            lambda: process.poll() is not None or is_ready(f"{self.url}/-/ready"),
            READY_TIMEOUT_S,
            "the service is ready",
        )
        assert process.poll() is None, f"aiops ended with code {process.returncode}"

    def kill(self) -> None:
        """End the process as a power cut of the process would: no signal handler runs."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def get(self, path: str, **query: str) -> Any:
        """Return the JSON of a GET; fail on anything but 200."""
        target = f"{path}?{urllib.parse.urlencode(query)}" if query else path
        status, body = self.request("GET", target)
        assert status == 200, f"GET {target}: {status} {body[:300]!r}"
        return orjson.loads(body)

    def request(
        self, method: str, target: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        """Return status and body of one request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10.0)
        try:
            connection.request(method, target, body or None, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def incidents(self, *states: str) -> list[dict[str, Any]]:
        query = {"limit": "1000"} | ({"state": ",".join(states)} if states else {})
        found: list[dict[str, Any]] = self.get("/api/v1/incidents", **query)["incidents"]
        return found

    def wait_incidents(self, *states: str) -> list[dict[str, Any]]:
        """Return the incidents once there are any."""
        return wait_until(lambda: self.incidents(*states), 10.0, "there is an incident")

    def log_events(self, event: str) -> list[dict[str, Any]]:
        """Return the lines of the service's log about one kind of event, oldest first."""
        text = self._programs.log_path("aiops").read_text()
        whole = text[: text.rfind("\n") + 1].splitlines()  # the last one may still be written
        return [orjson.loads(line) for line in whole if f'"event":"{event}"' in line]

    def metric(self, sample: str) -> float:
        """Return the value of one line of /metrics, 0 when it is not there."""
        _, body = self.request("GET", "/metrics")
        for line in body.decode().splitlines():
            name, _, value = line.rpartition(" ")
            if name == sample:
                return float(value)
        return 0.0

    def cli(self, *arguments: str) -> str:
        """Return what `aiops incident ...` prints about this service."""
        verb, *rest = arguments
        return output_of([*AIOPS, "incident", verb, "--url", self.url, *rest], env=ENVIRONMENT)
