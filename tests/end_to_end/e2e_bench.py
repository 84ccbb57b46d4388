"""A service under load that survives its crashes, and what must hold when it has."""

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson
from e2e_hook import Hook, hook_endpoint
from e2e_load import (
    METRIC,
    N_SERIES,
    N_SERVICES,
    OPERATOR,
    SERIES_PER_SERVICE,
    STEP_MS,
    AlertSender,
    OperatorSender,
    SampleSender,
)
from e2e_programs import programs, tell, wait_until
from e2e_service import Service
from e2e_twin import JournalTap, Twin, differing_arrays, twin_of

from aiops.clock import DAY_MS
from aiops.config_file import load_config
from aiops.domain.audit import check_chain
from aiops.domain.incident import IncidentEventKind
from aiops.store.state import SqliteStateStore

SECRET = b"known to both ends"
ROUNDS_BEFORE_MIDNIGHT = 500
"""The load starts this long before a midnight, so that it fills the files of two days."""

SETTLE_TIMEOUT_S = 30.0
AUDIT_ROWS_MAX = 100_000

_CONFIG = """
snapshot: {{interval_s: {snapshot_s}}}
engine: {{tick_interval_s: 0.1}}
store: {{chunk_rows: 16}}
detect: {{warmup_samples: 20, close_samples: 3}}
correlate: {{labels: [service], window_s: 2, quiet_s: 1, reopen_s: 4}}
notify:
  backoff_s_max: 0.2
  receivers:
    - {{name: hook, kind: webhook, url: "{hook}", secret: {{file: hook.secret}}}}
remediate: {{mode: dry-run, playbooks: [note.yaml], url_allow: ["127.0.0.1:9"]}}
"""

_PLAYBOOK = """
name: note
description: Would tell somebody
match: '{}'
events: [opened, reopened, resolved]
mode: auto
action:
  http: {method: POST, url: "http://127.0.0.1:9/{incident_id}", body: {}}
"""


@dataclass(frozen=True, slots=True)
class Bench:
    """A service under load, its hook, and the tap on its journal."""

    service: Service
    hook: Hook
    samples: SampleSender
    alerts: AlertSender
    operator: OperatorSender
    tap: JournalTap
    config: Path

    def start_load(self) -> None:
        for part in (self.samples, self.alerts, self.operator, self.tap):
            part.start()

    def end_load(self) -> None:
        """Let the senders finish, and wait until nothing is open or undelivered any more."""
        self.samples.finish(SETTLE_TIMEOUT_S)
        self.alerts.finish(SETTLE_TIMEOUT_S)
        self.operator.finish(SETTLE_TIMEOUT_S)
        wait_until(
            lambda: not self.service.incidents("open", "acknowledged"),
            SETTLE_TIMEOUT_S,
            "every incident is resolved",
        )
        store = SqliteStateStore(self.service.data_dir / "state.db")
        try:
            wait_until(lambda: not store.outbox_pending(), SETTLE_TIMEOUT_S, "the outbox is empty")
            wait_until(lambda: not store.due_actions(limit=1), SETTLE_TIMEOUT_S, "no action waits")
        finally:
            store.close()

    def wait_snapshot(self) -> None:
        """Wait for the next snapshot: the one of a stop that follows then is not close behind it.

        Two close together trim records that the tap has not seen yet.
        """
        n_before = len(self.service.log_events("snapshot.published"))
        wait_until(
            lambda: len(self.service.log_events("snapshot.published")) > n_before,
            SETTLE_TIMEOUT_S,
            "there is another snapshot",
        )


@contextmanager
def bench(folder: Path, *, seed: int, snapshot_s: float = 1.0) -> Iterator[Bench]:
    """Yield a running service with everything else ready to start."""
    with hook_endpoint(SECRET) as hook, programs(folder) as running:
        (folder / "hook.secret").write_bytes(SECRET)
        (folder / "note.yaml").write_text(_PLAYBOOK)
        config = folder / "aiops.yaml"
        config.write_text(_CONFIG.format(hook=hook.url, snapshot_s=snapshot_s))
        service = Service(running, config)
        service.start()
        chance = random.Random(seed + 1)
        today_ms = int(time.time() * 1000) // DAY_MS * DAY_MS
        start_ms = today_ms - DAY_MS - ROUNDS_BEFORE_MIDNIGHT * STEP_MS
        tap = JournalTap(service.data_dir / "journal.db")
        try:
            yield Bench(
                service,
                hook,
                SampleSender(service.port, start_ms=start_ms, seed=seed),
                AlertSender(service.port, lambda: chance.uniform(0.0, 0.3)),
                OperatorSender(service.port, lambda: 0.2),
                tap,
                config,
            )
        finally:
            tap.stop()


def read_members(subject: Bench, selector: str) -> dict[str, list[tuple[int, float]]]:
    """Return (time, value) of every raw sample by member, over the whole load."""
    samples = subject.samples
    end_s = (samples.ts_ms(samples.n_acked) + 100 * STEP_MS) // 1000
    span_s = end_s - samples.start_ms // 1000 + 1
    answer = subject.service.get("/api/v1/query", query=f"{selector}[{span_s}s]", time=f"{end_s}")
    return {
        one["metric"]["member"]: [(round(at_s * 1000), float(text)) for at_s, text in one["values"]]
        for one in answer["data"]["result"]
    }


def check_samples(subject: Bench) -> None:
    """Every acknowledged sample is there exactly once, with its value, and no other."""
    n_rounds = subject.samples.n_acked
    ts_ms, expected = subject.samples.expected(n_rounds)
    tell(f"{n_rounds * N_SERIES} samples acknowledged, {len(subject.alerts.acked)} alerts")
    for service in range(N_SERVICES):
        found = read_members(subject, f'{METRIC}{{service="s{service}"}}')
        assert len(found) == SERIES_PER_SERVICE
        for member, pairs in found.items():
            assert [at_ms for at_ms, _ in pairs] == ts_ms.tolist(), f"times of {member}"
            values = np.array([value for _, value in pairs])
            assert np.array_equal(values, expected[int(member)]), f"values of {member}"


def check_stopped(subject: Bench, *, n_stops: int) -> None:
    """Stop the service and compare all it kept with the twin that was never killed."""
    process = subject.service.process
    assert process is not None
    process.terminate()
    assert process.wait(15.0) == 0
    subject.tap.stop()
    subject.tap.take()
    data_dir = subject.service.data_dir
    config = load_config(
        subject.config,
        environment={},
        overrides={
            "data_dir": str(data_dir),
            "server.listen": subject.service.url.removeprefix("http://"),
        },
    )
    twin = twin_of(config)
    twin.apply(subject.tap.records())
    assert differing_arrays(twin.core, data_dir) == []
    store = SqliteStateStore(data_dir / "state.db")
    try:
        _check_incidents(subject, twin, store)
        _check_messages(subject, twin, store, n_stops)
        _check_actions(twin, store)
        _check_commands(subject, twin)
    finally:
        store.close()


def _check_incidents(subject: Bench, twin: Twin, store: SqliteStateStore) -> None:
    """The store has the twin's incidents, and in them every alert that was acknowledged."""
    kept = {one.incident_id: one for one in store.incidents((), limit=100_000)}
    tell(f"{len(kept)} incidents, {len(twin.messages)} messages, {len(twin.actions)} actions")
    assert kept == twin.incidents
    alerts = {alert.fingerprint: alert for one in kept.values() for alert in one.alerts}
    assert {key: alert.is_firing for key, alert in alerts.items()} == subject.alerts.acked


def _check_messages(subject: Bench, twin: Twin, store: SqliteStateStore, n_stops: int) -> None:
    """The hook got every message of the twin, each under one key and in one wording."""
    planned = {
        note.key: note for key in twin.incidents for note in store.notifications_of(key, "hook")
    }
    assert planned == twin.messages
    calls = subject.hook.calls()
    assert all(call.is_signed for call in calls)
    assert {call.key for call in calls if call.is_taken} == planned.keys()
    wrong = [call.key for call in calls if call.body != planned[call.key].body]
    assert wrong == []
    n_taken = sum(call.is_taken for call in calls)
    tell(f"{n_taken} calls taken for {len(planned)} messages: {n_taken - len(planned)} repeated")
    assert n_taken - len(planned) <= n_stops  # each had at most one call under way


def _check_actions(twin: Twin, store: SqliteStateStore) -> None:
    """Each planned action ended once, is told once on the time line, and the audit trail holds."""
    rows = store.audit_rows(after_id=0, limit=AUDIT_ROWS_MAX)
    verdict = check_chain(rows)
    assert verdict.is_allowed, verdict.reason
    for kind in ("action.planned", "action.ended"):
        assert sorted(row.key for row in rows if row.kind == kind) == sorted(twin.actions)
    for incident in twin.incidents.values():
        told = [one for one in incident.timeline if one.kind is IncidentEventKind.ACTION]
        planned = [one for one in twin.actions.values() if one.incident_id == incident.incident_id]
        assert len(told) == len(planned), orjson.dumps([one.text for one in told]).decode()


def _check_commands(subject: Bench, twin: Twin) -> None:
    """Each acknowledgement the service took is on the time line."""
    tell(f"{len(subject.operator.acked)} incidents acknowledged by the operator")
    for incident_id in subject.operator.acked:
        authors = [
            event.actor
            for event in twin.incidents[incident_id].timeline
            if event.kind is IncidentEventKind.ACKNOWLEDGED
        ]
        assert OPERATOR in authors, incident_id
