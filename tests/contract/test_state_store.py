"""What every state store promises, and what the one on disk promises besides."""

import random
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from state_samples import T0_MS, effect, incident, note, outcome, planned

from aiops.clock import ManualClock
from aiops.domain.action import ActionMode, OutcomeStatus
from aiops.domain.audit import check_chain
from aiops.domain.effects import IncidentEffect
from aiops.domain.incident import IncidentState
from aiops.errors import ConflictError, NotFoundError, StoreError
from aiops.store.base import StateStore
from aiops.store.memory_state import MemoryStateStore
from aiops.store.state import SqliteStateStore


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StateStore]:
    clock = ManualClock(T0_MS)
    made = (
        MemoryStateStore(clock=clock)
        if request.param == "memory"
        else SqliteStateStore(tmp_path / "state.db", clock=clock)
    )
    yield made
    made.close()


def kinds(store: StateStore) -> list[str]:
    return [row.kind for row in store.audit_rows(after_id=0, limit=1000)]


def due_keys(store: StateStore, now_ms: int = T0_MS, receiver: str = "") -> list[str]:
    due = store.due_notifications(now_ms, limit=100, receiver=receiver)
    return [message.key for message, _ in due]


def with_notes(seq: int, incident_id: str, *notes: object) -> IncidentEffect:
    return IncidentEffect(seq, 0, incident(incident_id), notifications=notes)  # type: ignore[arg-type]


def test_a_new_store_is_empty(store: StateStore) -> None:
    assert store.high_water() == (0, 0)
    assert store.incidents((), limit=10) == []
    assert store.due_actions(limit=10) == []
    assert store.outbox_pending() == {}
    assert store.next_notification_ms("chat") is None


def test_an_incident_comes_back_as_it_was_written(store: StateStore) -> None:
    store.apply([effect(1, 0)])
    assert store.incident("i1-0") == incident("i1-0")


def test_an_unknown_incident_is_not_found(store: StateStore) -> None:
    with pytest.raises(NotFoundError, match="nope"):
        store.incident("nope")


def test_a_later_version_replaces_the_incident(store: StateStore) -> None:
    store.apply([effect(1, 0)])
    resolved = incident("i1-0", state=IncidentState.RESOLVED, resolved_ms=T0_MS + 9)
    store.apply([IncidentEffect(2, 0, resolved)])
    assert store.incident("i1-0") == resolved
    assert len(store.incidents((), limit=10)) == 1


def test_effects_at_or_below_the_high_water_mark_are_skipped(store: StateStore) -> None:
    store.apply([effect(1, 0), effect(1, 1), effect(2, 0)])
    store.mark_delivered("i1-0:opened:1-0:chat", T0_MS)
    changed = IncidentEffect(1, 1, incident("i1-1", opened_ms=5), (note("i1-1", "again"),))
    store.apply([effect(1, 0), changed, effect(2, 0), effect(2, 1)])
    assert store.high_water() == (2, 1)
    assert store.incident("i1-1").opened_ms == T0_MS
    assert due_keys(store) == [f"i{p}:opened:{p}:chat" for p in ("1-1", "2-0", "2-1")]
    assert kinds(store) == ["action.planned"] * 4


def test_incidents_are_filtered_by_state_newest_first_in_pages(store: StateStore) -> None:
    states = [IncidentState.OPEN, IncidentState.RESOLVED, IncidentState.ACKNOWLEDGED]
    for n in range(6):
        made = incident(f"i{n}", state=states[n % 3], opened_ms=T0_MS + n)
        store.apply([IncidentEffect(n + 1, 0, made)])
    wanted = (IncidentState.OPEN, IncidentState.ACKNOWLEDGED)
    found = [i.incident_id for i in store.incidents(wanted, limit=2, offset=1)]
    assert found == ["i3", "i2"]
    assert [i.incident_id for i in store.incidents((), limit=2)] == ["i5", "i4"]


def test_incidents_between_are_those_open_within_the_span(store: StateStore) -> None:
    resolved = IncidentState.RESOLVED
    for n, made in enumerate(
        [
            incident("before", state=resolved, opened_ms=10, resolved_ms=19),
            incident("touching", state=resolved, opened_ms=10, resolved_ms=20),
            incident("still-open", opened_ms=15),
            incident("at-the-end", opened_ms=30),
            incident("after", opened_ms=31),
        ]
    ):
        store.apply([IncidentEffect(n + 1, 0, made)])
    found = [i.incident_id for i in store.incidents_between(20, 30)]
    assert found == ["at-the-end", "still-open", "touching"]


def test_a_later_event_is_not_due_before_the_earlier_one_is_done(store: StateStore) -> None:
    store.apply([with_notes(1, "i", note("i", "opened"), note("i", "opened", "mail"))])
    store.apply([with_notes(2, "i", note("i", "resolved"))])
    assert due_keys(store) == ["i:opened:1-0:chat", "i:opened:1-0:mail"]
    store.mark_failed("i:opened:1-0:chat", error="503", retry_at_ms=T0_MS + 50)
    assert due_keys(store, receiver="chat") == []
    assert store.next_notification_ms("chat") == T0_MS + 50
    assert due_keys(store, T0_MS + 50, "chat") == ["i:opened:1-0:chat"]
    store.mark_delivered("i:opened:1-0:chat", T0_MS + 51)
    assert due_keys(store, receiver="chat") == ["i:resolved:1-0:chat"]


def test_attempts_are_counted_and_giving_up_is_audited(store: StateStore) -> None:
    store.apply([with_notes(1, "i", note("i", "opened"))])
    store.mark_failed("i:opened:1-0:chat", error="503", retry_at_ms=T0_MS)
    assert [n for _, n in store.due_notifications(T0_MS, limit=9)] == [1]
    store.mark_failed("i:opened:1-0:chat", error="gone", retry_at_ms=None)
    assert due_keys(store) == []
    assert store.outbox_pending() == {}
    [row] = store.audit_rows(after_id=0, limit=9)
    assert (row.kind, row.at_ms, "gone" in row.detail) == ("notification.given_up", T0_MS, True)


def test_what_is_delivered_or_given_up_stays_so(store: StateStore) -> None:
    store.apply([with_notes(1, "i", note("i", "opened"))])
    store.mark_delivered("i:opened:1-0:chat", T0_MS)
    store.mark_failed("i:opened:1-0:chat", error="late", retry_at_ms=T0_MS)
    store.mark_failed("i:opened:1-0:chat", error="late", retry_at_ms=None)
    assert due_keys(store) == []
    assert kinds(store) == []


def test_pending_messages_are_counted_by_receiver(store: StateStore) -> None:
    store.apply([with_notes(1, "i", note("i", "opened"), note("i", "opened", "mail"))])
    store.apply([with_notes(2, "i", note("i", "resolved"))])
    assert store.outbox_pending() == {"chat": 2, "mail": 1}


def test_the_messages_of_an_incident_stay_readable_in_order(store: StateStore) -> None:
    first, second = note("i", "opened"), note("i", "resolved")
    store.apply([with_notes(1, "i", first, note("i", "opened", "mail"), second)])
    store.mark_delivered(first.key, T0_MS)
    assert store.notifications_of("i", "chat") == [first, second]


def test_a_refused_action_is_audited_and_never_due(store: StateStore) -> None:
    refused = planned("act", "i", ActionMode.OFF)
    store.apply([IncidentEffect(1, 0, incident("i"), actions=(refused,))])
    assert store.due_actions(limit=9) == []
    assert kinds(store) == ["action.refused"]


def test_an_action_goes_from_planned_to_begun_to_ended_once(store: StateStore) -> None:
    action = planned("act", "i")
    store.apply([IncidentEffect(1, 0, incident("i"), actions=(action,))])
    assert store.due_actions(limit=9) == [action]
    store.begin_action(action, T0_MS + 1)
    assert store.due_actions(limit=9) == []
    assert store.interrupted_actions() == [action]
    with pytest.raises(ConflictError):
        store.begin_action(action, T0_MS + 2)
    store.end_action(outcome(action), T0_MS + 3)
    store.end_action(outcome(action, OutcomeStatus.UNKNOWN), T0_MS + 4)
    assert store.interrupted_actions() == []
    assert kinds(store) == ["action.planned", "action.begun", "action.ended"]
    assert store.unreported_outcomes(limit=9) == [outcome(action)]


def test_an_action_that_was_never_planned_is_not_found(store: StateStore) -> None:
    with pytest.raises(NotFoundError):
        store.begin_action(planned("act", "i"), T0_MS)
    with pytest.raises(NotFoundError):
        store.end_action(outcome(planned("act", "i")), T0_MS)


def test_an_outcome_is_reported_until_it_is_marked(store: StateStore) -> None:
    action = planned("act", "i")
    store.apply([IncidentEffect(1, 0, incident("i"), actions=(action,))])
    store.end_action(outcome(action, OutcomeStatus.FAILED), T0_MS)
    assert [o.status for o in store.unreported_outcomes(limit=9)] == [OutcomeStatus.FAILED]
    store.mark_reported("act")
    assert store.unreported_outcomes(limit=9) == []


def test_rates_count_begun_actions_but_no_dry_runs(store: StateStore) -> None:
    real, dry = planned("real", "i"), planned("dry", "i", ActionMode.DRY_RUN)
    never = planned("never", "i")
    store.apply([IncidentEffect(1, 0, incident("i"), actions=(real, dry, never))])
    assert store.playbook_begun_ms("restart") is None
    store.begin_action(real, T0_MS)
    store.begin_action(dry, T0_MS + 5)
    store.end_action(outcome(never), T0_MS + 9)
    assert store.actions_begun_since(0) == 1
    assert store.actions_begun_since(T0_MS) == 1
    assert store.actions_begun_since(T0_MS + 1) == 0
    assert store.playbook_begun_ms("restart") == T0_MS
    assert store.playbook_begun_ms("other") is None


def test_prune_takes_old_resolved_incidents_without_unfinished_business(store: StateStore) -> None:
    def resolved(name: str, at_ms: int) -> object:
        return incident(name, state=IncidentState.RESOLVED, resolved_ms=at_ms)

    action = planned("act", "acting")
    for n, (made, notes, actions) in enumerate(
        [
            (resolved("old", 50), (note("old", "opened"),), ()),
            (resolved("young", 100), (), ()),
            (incident("open"), (), ()),
            (resolved("unsent", 50), (note("unsent", "opened"),), ()),
            (resolved("acting", 50), (), (action,)),
        ]
    ):
        store.apply([IncidentEffect(n + 1, 0, made, notes, actions)])  # type: ignore[arg-type]
    store.mark_delivered("old:opened:1-0:chat", 60)
    audit_before = store.audit_rows(after_id=0, limit=99)
    assert store.prune(100) == 1
    assert {i.incident_id for i in store.incidents((), limit=9)} == {
        "young",
        "open",
        "unsent",
        "acting",
    }
    assert store.notifications_of("old", "chat") == []
    assert store.audit_rows(after_id=0, limit=99) == audit_before
    store.end_action(outcome(action), 70)
    store.mark_reported("act")
    assert store.prune(100) == 1


def test_the_audit_chain_holds_and_can_be_read_in_pages(store: StateStore) -> None:
    for seq in range(1, 8):
        store.apply([effect(seq, 0)])
    first = store.audit_rows(after_id=0, limit=4)
    rest = store.audit_rows(after_id=first[-1].audit_id, limit=100)
    assert check_chain(first + rest).is_allowed
    assert check_chain(rest, after=first[-1]).is_allowed
    assert not check_chain(first[:2] + first[3:]).is_allowed


def test_the_store_on_disk_comes_back_after_a_restart(tmp_path: Path) -> None:
    store = SqliteStateStore(tmp_path / "state.db")
    store.apply([effect(3, 1)])
    store.close()
    again = SqliteStateStore(tmp_path / "state.db")
    assert again.high_water() == (3, 1)
    assert again.incident("i3-1") == incident("i3-1")
    assert due_keys(again) == ["i3-1:opened:3-1:chat"]
    again.close()


def test_a_failed_effect_takes_the_whole_call_back(tmp_path: Path) -> None:
    store = SqliteStateStore(tmp_path / "state.db")
    too_large = IncidentEffect(2, 0, incident("huge", opened_ms=2**63))
    with pytest.raises(OverflowError):
        store.apply([effect(1, 0), too_large])
    assert store.high_water() == (0, 0)
    assert store.incidents((), limit=9) == []
    store.apply([effect(1, 0)])
    assert store.high_water() == (1, 0)
    store.close()


def test_a_full_disk_is_an_error_and_passes_when_there_is_room(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    store = SqliteStateStore(path, bytes_max=200 * 1024)
    seq = _fill(store)
    assert store.high_water() == (seq - 1, 0)
    assert len(store.incidents((), limit=5000)) == seq - 1
    assert check_chain(store.audit_rows(after_id=0, limit=5000)).is_allowed
    with pytest.raises(StoreError, match="full"):
        store.apply([effect(seq, 0)])
    db = sqlite3.connect(path)  # room is made behind the store's back
    db.execute("DELETE FROM incidents")
    db.commit()
    db.close()
    store.apply([effect(seq, 0)])
    assert store.high_water() == (seq, 0)
    store.close()


def _fill(store: StateStore) -> int:
    """Apply effects until one is refused and return its seq."""
    for seq in range(1, 1000):
        try:
            store.apply([effect(seq, 0)])
        except StoreError:
            return seq
    raise AssertionError("the bound was never met")


def test_a_locked_file_is_an_error_and_passes_when_freed(tmp_path: Path) -> None:
    store = SqliteStateStore(tmp_path / "state.db", busy_timeout_s=0.0)
    other = sqlite3.connect(tmp_path / "state.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="locked"):
        store.apply([effect(1, 0)])
    other.execute("ROLLBACK")
    other.close()
    store.apply([effect(1, 0)])
    assert store.high_water() == (1, 0)
    store.close()


def test_a_newer_schema_is_refused_with_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    SqliteStateStore(path).close()
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version=99")
    db.close()
    with pytest.raises(StoreError, match=r"version 99.*newer release"):
        SqliteStateStore(path)


def test_a_foreign_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE mine(x)")
    db.close()
    with pytest.raises(StoreError, match="another program"):
        SqliteStateStore(path)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    path.write_bytes(b"not a database, but long enough to be looked at" * 100)
    with pytest.raises(StoreError, match="unusable"):
        SqliteStateStore(path)


def test_the_audit_table_refuses_change_and_deletion(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    store = SqliteStateStore(path)
    store.apply([effect(1, 0)])
    db = sqlite3.connect(path)
    for statement in ("UPDATE audit SET detail = '{}'", "DELETE FROM audit"):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            db.execute(statement)
    db.close()
    store.close()


def test_a_record_altered_in_the_file_breaks_the_chain(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    store = SqliteStateStore(path)
    for seq in (1, 2, 3):
        store.apply([effect(seq, 0)])
    db = sqlite3.connect(path)
    db.execute("DROP TRIGGER audit_no_update")
    db.execute("UPDATE audit SET detail = replace(detail, 'cart', 'crat') WHERE id = 2")
    db.commit()
    db.close()
    verdict = check_chain(store.audit_rows(after_id=0, limit=9))
    assert (verdict.is_allowed, verdict.reason) == (False, "record 2 was altered")
    store.close()


def test_readers_in_other_threads_see_whole_effects(tmp_path: Path) -> None:
    store = SqliteStateStore(tmp_path / "state.db")

    def read(_: int) -> bool:
        mark = store.high_water()[0]
        n_incidents = len(store.incidents((), limit=1000))
        n_actions = len(store.due_actions(limit=1000))
        return mark <= n_incidents <= n_actions  # each read is later than the one before

    with ThreadPoolExecutor(2) as readers, ThreadPoolExecutor(1) as writer:
        written = writer.map(lambda seq: store.apply([effect(seq, 0)]), range(1, 101))
        assert all(readers.map(read, range(100)))
        list(written)
    assert store.high_water() == (100, 0)
    store.close()


def test_a_closed_store_refuses_to_write(tmp_path: Path) -> None:
    store = SqliteStateStore(tmp_path / "state.db")
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.apply([effect(1, 0)])


def test_nothing_acknowledged_is_lost_or_doubled_by_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    rng = random.Random(20240611)
    acked = (0, 0)
    for _ in range(10):
        acked = max(acked, _run_until_killed(path, acks_max=rng.randint(1, 40)))
        store = SqliteStateStore(path)
        mark = store.high_water()
        assert mark >= acked
        expected = {f"i{seq}-{k}" for seq in range(1, mark[0] + 1) for k in range(3)}
        found = [i.incident_id for i in store.incidents((), limit=100_000)]
        assert sorted(found) == sorted(expected)
        assert {n.incident_id for n, _ in store.due_notifications(T0_MS, limit=100_000)} == expected
        assert {a.incident_id for a in store.due_actions(limit=100_000)} == expected
        rows = store.audit_rows(after_id=0, limit=100_000)
        assert check_chain(rows).is_allowed
        assert len(rows) == len(expected)
        store.close()
    assert acked > (10, 0)


def _run_until_killed(path: Path, *, acks_max: int) -> tuple[int, int]:
    child = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("state_kill_child.py")), str(path)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    acked = (0, 0)
    for _ in range(acks_max):
        acked = _pair(child.stdout.readline())
    child.kill()
    for line in child.stdout:  # said before it died
        if line.endswith("\n"):
            acked = _pair(line)
    child.stdout.close()
    child.wait()
    return acked


def _pair(line: str) -> tuple[int, int]:
    seq, k = line.split()
    return int(seq), int(k)


def test_the_store_does_not_load_the_compiler() -> None:
    code = "import sys, aiops.store.state; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
