"""The one thread that writes the state store."""

import asyncio
import threading
from contextlib import contextmanager

import pytest
from prometheus_client import CollectorRegistry

from aiops.clock import ManualClock
from aiops.domain.effects import IncidentEffect
from aiops.domain.incident import Incident, IncidentState, Severity
from aiops.errors import StoreError
from aiops.store.memory_state import MemoryStateStore
from aiops.store.state_writer import StateWriter

WAIT_S = 30.0


class Disk(MemoryStateStore):
    """A store whose disk can be full, and which tells when it was tried."""

    def __init__(self) -> None:
        super().__init__(clock=ManualClock())
        self.failure: Exception | None = None
        self.applied: list[tuple[int, int]] = []
        self.was_tried = threading.Event()

    def apply(self, effects) -> None:
        self.was_tried.set()
        if self.failure is not None:
            raise self.failure
        super().apply(effects)
        self.applied += [(effect.seq, effect.k) for effect in effects]


class Told:
    """What the writer told about its progress."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, bool]] = []

    def __call__(self, seq: int, has_effects: bool) -> None:
        self.calls.append((seq, has_effects))


def effect(seq: int, k: int = 0) -> IncidentEffect:
    incident = Incident(
        incident_id=f"inc-{seq}-{k}",
        state=IncidentState.OPEN,
        severity=Severity.INFO,
        title="",
        labels=(),
        opened_ms=seq,
        updated_ms=seq,
        resolved_ms=0,
        acknowledged_by="",
        anomalies=(),
        alerts=(),
        timeline=(),
    )
    return IncidentEffect(seq, k, incident)


@contextmanager
def writing(disk: Disk, told: Told | None = None, *, retry_s: float = 0.001):
    writer = StateWriter(disk, told or Told(), CollectorRegistry(), retry_s=retry_s)
    writer.start()
    try:
        yield writer
    finally:
        writer.close()


def test_effects_are_applied_in_order_and_progress_is_told():
    disk, told = Disk(), Told()
    with writing(disk, told) as writer:
        for seq in range(1, 50):
            writer.put(seq, (effect(seq), effect(seq, 1)) if seq % 3 else ())
        assert writer.wait_written(49, WAIT_S)
    assert disk.applied == sorted(disk.applied)
    assert len(disk.applied) == 2 * 33
    positions = [seq for seq, _ in told.calls]
    assert positions == sorted(positions) and positions[-1] == 49


def test_a_record_without_effects_counts_as_written():
    disk, told = Disk(), Told()
    with writing(disk, told) as writer:
        writer.put(7, ())
        assert writer.wait_written(7, WAIT_S)
    assert told.calls == [(7, False)]
    assert disk.applied == []


def test_effects_are_tried_again_until_the_disk_takes_them():
    disk = Disk()
    disk.failure = StoreError("disk full")
    with writing(disk) as writer:
        writer.put(1, (effect(1),))
        writer.put(2, (effect(2),))
        assert disk.was_tried.wait(WAIT_S)
        disk.was_tried.clear()
        assert disk.was_tried.wait(WAIT_S)  # a second try: the first one is dealt with
        assert not writer.wait_written(1, 0.0)
        assert not writer.is_healthy
        disk.failure = None
        assert writer.wait_written(2, WAIT_S)
        assert writer.is_healthy
    assert disk.applied == [(1, 0), (2, 0)]


def test_a_call_runs_on_the_writers_thread_and_gives_what_it_returned():
    async def run(writer: StateWriter) -> str:
        return await writer.run(lambda: threading.current_thread().name)

    with writing(Disk()) as writer:
        assert asyncio.run(run(writer)) == "state-writer"


def test_a_calls_error_reaches_its_caller_only():
    def broken() -> None:
        raise KeyError("no such incident")

    async def run(writer: StateWriter) -> int:
        with pytest.raises(KeyError):
            await writer.run(broken)
        return await writer.run(lambda: 5)

    with writing(Disk()) as writer:
        assert asyncio.run(run(writer)) == 5


def test_calls_run_while_effects_wait_for_the_disk():
    disk = Disk()
    disk.failure = StoreError("disk full")

    async def run(writer: StateWriter) -> list[int]:
        return [await writer.run(lambda n=n: n) for n in range(20)]

    with writing(disk, retry_s=3600.0) as writer:
        writer.put(1, (effect(1),))
        assert disk.was_tried.wait(WAIT_S)
        assert asyncio.run(run(writer)) == list(range(20))


def test_a_cancelled_call_does_not_stop_the_writer():
    disk = Disk()
    is_entered, may_go = threading.Event(), threading.Event()

    def slow() -> None:
        is_entered.set()
        assert may_go.wait(WAIT_S)

    async def run(writer: StateWriter) -> int:
        first = asyncio.create_task(writer.run(slow))
        await asyncio.to_thread(is_entered.wait, WAIT_S)
        running, waiting = first, asyncio.create_task(writer.run(lambda: 1))
        await asyncio.sleep(0)  # it is in the queue now
        waiting.cancel()
        running.cancel()
        await asyncio.gather(running, waiting, return_exceptions=True)
        may_go.set()
        return await writer.run(lambda: 5)

    with writing(disk) as writer:
        assert asyncio.run(run(writer)) == 5
        writer.put(1, (effect(1),))
        assert writer.wait_written(1, WAIT_S)


def test_close_writes_what_waits():
    disk = Disk()
    with writing(disk) as writer:
        for seq in range(1, 20):
            writer.put(seq, (effect(seq),))
    assert len(disk.applied) == 19


def test_close_gives_up_on_a_broken_disk():
    disk = Disk()
    disk.failure = StoreError("disk full")
    with writing(disk, retry_s=3600.0) as writer:
        writer.put(1, (effect(1),))
        assert disk.was_tried.wait(WAIT_S)
    assert disk.applied == []


def test_a_call_after_close_is_refused():
    with writing(Disk()) as writer:
        pass
    with pytest.raises(StoreError, match="closed"):
        asyncio.run(writer.run(lambda: 1))


def test_an_unexpected_failure_shows_and_nobody_waits_for_ever():
    disk = Disk()
    disk.failure = ZeroDivisionError("a bug")
    with writing(disk) as writer:
        writer.put(1, (effect(1),))
        writer._thread.join(WAIT_S)
        assert not writer.is_healthy
        for seq in range(2, 20_000):  # more than may wait
            writer.put(seq, ())
        with pytest.raises(StoreError):
            asyncio.run(writer.run(lambda: 1))
