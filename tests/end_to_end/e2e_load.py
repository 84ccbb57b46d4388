"""Senders that go on over crashes: what was not acknowledged is sent again, and only that."""

import http.client
import itertools
import threading
from collections.abc import Callable

import numpy as np
import orjson

from aiops.domain.labels import labels_from
from aiops.domain.samples import F64, I64
from aiops.evaluate.remote_write_encode import (
    REMOTE_WRITE_HEADERS,
    ScrapeEncoder,
    encode_snappy,
)
from aiops.wire.labels import encode_labels

METRIC = "kill_load"
N_SERIES = 200
SERIES_PER_SERVICE = 10
N_SERVICES = N_SERIES // SERIES_PER_SERVICE
STEP_MS = 1000
"""The series live in a time of their own, a sample a second, however fast they are sent."""

FAULT_EVERY = 120
FAULT_FIRST, FAULT_END = 60, 75
"""Rounds of each FAULT_EVERY in which one service is at fault."""

RETRY_S = 0.05
TIMEOUT_S = 10.0
NO_ANSWER = 0
"""The process was gone or went meanwhile."""

JSON = {"Content-Type": "application/json"}
OPERATOR = "ada"


class Sender:
    """A thread with one connection that repeats each request until it is acknowledged."""

    def __init__(self, port: int, name: str) -> None:
        self._port = port
        self._connection: http.client.HTTPConnection | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.is_told_to_end = threading.Event()
        self.given_up = ""
        """Why this sender stopped before its time, "" when it did not."""

    def start(self) -> None:
        self._thread.start()

    def finish(self, timeout_s: float) -> None:
        """Let the sender come to a good end; the service must be up."""
        self.is_told_to_end.set()
        self._thread.join(timeout_s)
        assert not self.given_up, self.given_up
        assert not self._thread.is_alive(), "the sender got no acknowledgement"

    def work(self) -> None:
        raise NotImplementedError

    def send(self, target: str, body: bytes, headers: dict[str, str]) -> None:
        """Return once the request is acknowledged."""
        status, _ = self.ask("POST", target, body, headers)
        if status not in (200, 204):
            raise RuntimeError(f"{target} answered {status}")

    def ask(
        self, method: str, target: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        """Return status and body of the first answer that does not say to come again."""
        while True:
            status, answer = self._try(method, target, body, headers or {})
            if status not in (NO_ANSWER, 503):
                return status, answer
            threading.Event().wait(RETRY_S)

    def _run(self) -> None:
        try:
            self.work()
        except Exception as error:
            self.given_up = f"{type(error).__name__}: {error}"
        finally:
            self._close()

    def _try(
        self, method: str, target: str, body: bytes, headers: dict[str, str]
    ) -> tuple[int, bytes]:
        if self._connection is None:
            self._connection = http.client.HTTPConnection(
                "127.0.0.1", self._port, timeout=TIMEOUT_S
            )
        try:
            self._connection.request(method, target, body or None, headers)
            answer = self._connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            self._close()
            return NO_ANSWER, b""

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class SampleSender(Sender):
    """Sends round after round of samples, one of each series, at full speed.

    Round n is the sample at `start_ms + n * STEP_MS`; `n_acked` rounds are acknowledged.
    """

    def __init__(self, port: int, *, start_ms: int, seed: int) -> None:
        super().__init__(port, "samples")
        self.start_ms = start_ms
        self.n_acked = 0
        self._seed = seed
        self._encoder = ScrapeEncoder([encode_labels(labels_from(one)) for one in all_labels()])

    def work(self) -> None:
        for n in itertools.count():
            is_calm = n % FAULT_EVERY == FAULT_FIRST - 1  # long enough for every anomaly to end
            if self.is_told_to_end.is_set() and is_calm:
                return
            body = encode_snappy(self._encoder.encode(self.ts_ms(n), self.values(n)))
            self.send("/api/v1/write", body, REMOTE_WRITE_HEADERS)
            self.n_acked = n + 1

    def ts_ms(self, n: int) -> int:
        return self.start_ms + n * STEP_MS

    def values(self, n: int) -> F64:
        """Return the values of round n: noise around 100, a fault in one service at times."""
        values = np.random.default_rng([self._seed, n]).normal(100.0, 1.0, N_SERIES)
        if FAULT_FIRST <= n % FAULT_EVERY < FAULT_END:
            service = n // FAULT_EVERY % N_SERVICES
            values[service * SERIES_PER_SERVICE : (service + 1) * SERIES_PER_SERVICE] += 60.0
        return values

    def expected(self, n_rounds: int) -> tuple[I64, F64]:
        """Return times, and values as [series, round], of the first rounds."""
        ts_ms = self.start_ms + np.arange(n_rounds, dtype=np.int64) * STEP_MS
        return ts_ms, np.stack([self.values(n) for n in range(n_rounds)], axis=1)


class AlertSender(Sender):
    """Delivers alerts as Alertmanager does: each fires, and is resolved by the delivery after it.

    `acked` has the last acknowledged status of each alert, by fingerprint.
    """

    def __init__(self, port: int, pause: Callable[[], float]) -> None:
        super().__init__(port, "alerts")
        self.acked: dict[str, bool] = {}
        self._pause = pause

    def work(self) -> None:
        for n in itertools.count():
            self._deliver(n, is_firing=True)
            self.is_told_to_end.wait(self._pause())
            self._deliver(n, is_firing=False)
            if self.is_told_to_end.wait(self._pause()):
                return

    def _deliver(self, n: int, *, is_firing: bool) -> None:
        fingerprint = f"{n:016x}"
        alert = {
            "status": "firing" if is_firing else "resolved",
            "labels": {"alertname": "Killed", "service": f"s{n % N_SERVICES}", "number": str(n)},
            "startsAt": f"2026-01-01T00:{n // 60 % 60:02}:{n % 60:02}Z",
            "endsAt": "0001-01-01T00:00:00Z" if is_firing else "2026-01-02T00:00:00Z",
            "fingerprint": fingerprint,
        }
        body = orjson.dumps({"version": "4", "groupKey": str(n), "alerts": [alert]})
        self.send("/api/v1/alertmanager", body, JSON)
        self.acked[fingerprint] = is_firing


class OperatorSender(Sender):
    """Acknowledges open incidents, each once; `acked` has those for which the service said so."""

    def __init__(self, port: int, pause: Callable[[], float]) -> None:
        super().__init__(port, "operator")
        self.acked: set[str] = set()
        self._pause = pause
        self._seen: set[str] = set()

    def work(self) -> None:
        while not self.is_told_to_end.wait(self._pause()):
            _, answer = self.ask("GET", "/api/v1/incidents?state=open")
            for incident in orjson.loads(answer)["incidents"][:1]:
                self._acknowledge(incident["incident_id"])

    def _acknowledge(self, incident_id: str) -> None:
        if incident_id in self._seen:
            return
        self._seen.add(incident_id)
        body = orjson.dumps({"author": OPERATOR, "comment": "on it"})
        status, _ = self.ask("POST", f"/api/v1/incidents/{incident_id}/ack", body, JSON)
        if status == 200:
            self.acked.add(incident_id)
        elif status != 409:  # resolved by itself meanwhile
            raise RuntimeError(f"ack of {incident_id} answered {status}")


def all_labels() -> list[dict[str, str]]:
    """Return the labels of every series, in the order of the values of a round."""
    return [
        {"__name__": METRIC, "service": f"s{i // SERIES_PER_SERVICE}", "member": f"{i:03}"}
        for i in range(N_SERIES)
    ]
