"""The engine thread: records in order, calls between them, an end when one cannot be applied."""

import threading
from concurrent.futures import Future
from contextlib import contextmanager

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from aiops.clock import ManualClock
from aiops.config import Config
from aiops.domain.records import Record, Tick
from aiops.domain.samples import SampleBatch
from aiops.engine import Engine
from aiops.lifecycle.snapshot import publish_snapshot, read_newest
from aiops.pipeline import Applied, Core
from aiops.store.head import SealedBlock

WAIT_S = 30.0


class Sinks:
    """Notes what the engine hands on, and in which order."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, object]] = []
        self.failures: list[BaseException] = []
        self.effects = _Sink("effects", self)
        self.rows = _Sink("rows", self)

    def failed(self, error: BaseException) -> None:
        self.failures.append(error)


class _Sink:
    def __init__(self, name: str, sinks: Sinks) -> None:
        self._name = name
        self._sinks = sinks

    def put(self, first, *_) -> None:
        self._sinks.calls.append((self._name, first))


class ScriptedCore(Core):
    """A core that does as the test says, and can be held up within a record."""

    def __init__(self) -> None:
        super().__init__(Config(), receivers=(), playbooks=(), external_url="http://aiops.internal")
        self.is_entered = threading.Event()
        self.may_go = threading.Event()
        self.may_go.set()
        self.seqs: list[int] = []
        self.is_inside = False
        self.breaks_at = 0
        self.sealed: tuple[SealedBlock, ...] = ()

    def apply(self, record: Record) -> Applied:
        self.is_inside = True
        self.is_entered.set()
        assert self.may_go.wait(WAIT_S)
        if record.seq == self.breaks_at:
            raise ZeroDivisionError("a bug")
        self.seqs.append(record.seq)
        self.applied_seq = record.seq
        self.is_inside = False
        return Applied((), self.sealed)


@contextmanager
def engine_of(core: Core, sinks: Sinks | None = None):
    sinks = sinks or Sinks()
    engine = Engine(
        core,
        sinks.effects,
        sinks.rows,
        clock=ManualClock(),
        failed=sinks.failed,
        registry=CollectorRegistry(),
    )
    engine.start()
    try:
        yield engine
    finally:
        engine.close()


def ticks(first: int, last: int) -> list[Record]:
    return [Record(seq, 0, Tick()) for seq in range(first, last + 1)]


def batch(seq: int, n_rows: int) -> Record:
    columns = (np.ones(n_rows, np.uint64), np.arange(n_rows), np.zeros(n_rows))
    return Record(seq, 0, SampleBatch(*columns))


def test_records_are_applied_in_order_and_each_is_told_of():
    core, sinks = ScriptedCore(), Sinks()
    with engine_of(core, sinks) as engine:
        engine.submit(ticks(1, 3))
        engine.submit(ticks(4, 50))
        assert engine.drain(WAIT_S)
    assert core.seqs == list(range(1, 51))
    assert sinks.calls == [("effects", seq) for seq in range(1, 51)]


def test_rows_are_handed_on_before_the_effects_that_may_point_at_them():
    core, sinks = ScriptedCore(), Sinks()
    core.sealed = ("a block",)  # type: ignore[assignment]  # it is only passed through
    with engine_of(core, sinks) as engine:
        engine.submit(ticks(1, 1))
        assert engine.drain(WAIT_S)
    assert sinks.calls == [("rows", ("a block",)), ("effects", 1)]


def test_waiting_samples_are_counted_until_they_are_applied():
    core = ScriptedCore()
    core.may_go.clear()
    with engine_of(core) as engine:
        engine.submit([batch(1, 10), *ticks(2, 3), batch(4, 5)])
        assert core.is_entered.wait(WAIT_S)
        assert engine.queued_rows == 15
        assert not engine.drain(0.0)
        core.may_go.set()
        assert engine.drain(WAIT_S)
        assert engine.queued_rows == 0


def test_a_call_sees_whole_records_only():
    core = ScriptedCore()
    core.may_go.clear()
    with engine_of(core) as engine:
        engine.submit(ticks(1, 3))
        assert core.is_entered.wait(WAIT_S)
        seen = engine.call(lambda at: (at.is_inside, at.applied_seq))  # type: ignore[attr-defined]
        core.may_go.set()
        is_inside, seq = seen.result(WAIT_S)
        assert not is_inside
        assert 1 <= seq <= 3


def test_calls_are_not_put_off_until_the_queue_is_empty():
    core = ScriptedCore()
    core.may_go.clear()
    with engine_of(core) as engine:
        engine.submit(ticks(1, 1000))
        assert core.is_entered.wait(WAIT_S)
        seen = engine.call(lambda at: at.applied_seq)
        core.may_go.set()
        assert seen.result(WAIT_S) == 1


def test_a_calls_error_reaches_its_caller_and_the_engine_goes_on():
    core = ScriptedCore()
    with engine_of(core) as engine:
        with pytest.raises(KeyError):
            engine.call(lambda _: {}["missing"]).result(WAIT_S)
        engine.submit(ticks(1, 1))
        assert engine.drain(WAIT_S)


def test_a_cancelled_call_is_not_run():
    core = ScriptedCore()
    core.may_go.clear()
    ran = []
    with engine_of(core) as engine:
        engine.submit(ticks(1, 1))
        assert core.is_entered.wait(WAIT_S)
        assert engine.call(lambda _: ran.append(1)).cancel()
        core.may_go.set()
        assert engine.call(lambda _: 5).result(WAIT_S) == 5
    assert ran == []


def test_close_applies_what_was_committed():
    core = ScriptedCore()
    core.may_go.clear()
    with engine_of(core) as engine:
        engine.submit(ticks(1, 20))
        core.may_go.set()
    assert core.seqs == list(range(1, 21))


def test_a_call_after_close_is_refused():
    with engine_of(ScriptedCore()) as engine:
        pass
    with pytest.raises(RuntimeError, match="stopping"):
        engine.call(lambda _: 1).result(WAIT_S)


def failed_engine(core: ScriptedCore, sinks: Sinks) -> tuple[Engine, Future[int]]:
    """Return an engine that met a record it cannot apply, with a call that waited behind it."""
    core.breaks_at = 2
    core.may_go.clear()
    with engine_of(core, sinks) as engine:
        engine.submit(ticks(1, 3))
        assert core.is_entered.wait(WAIT_S)
        engine.call(lambda _: core.is_entered.clear())
        core.may_go.set()
        engine._thread.join(WAIT_S)
        return engine, engine.call(lambda at: at.applied_seq)


def test_a_record_that_cannot_be_applied_ends_the_engine_and_is_told_once():
    core, sinks = ScriptedCore(), Sinks()
    failed_engine(core, sinks)
    assert [type(error) for error in sinks.failures] == [ZeroDivisionError]
    assert core.seqs == [1]
    assert sinks.calls == [("effects", 1)]


def test_calls_to_an_engine_that_failed_are_answered_with_an_error():
    _, call = failed_engine(ScriptedCore(), Sinks())
    with pytest.raises(RuntimeError):
        call.result(WAIT_S)


def test_calls_that_wait_when_the_engine_fails_are_answered_with_an_error():
    core = ScriptedCore()
    core.breaks_at = 1
    core.may_go.clear()
    with engine_of(core) as engine:
        engine.submit(ticks(1, 1))
        assert core.is_entered.wait(WAIT_S)
        waiting = [engine.call(lambda _: 5) for _ in range(3)]
        core.may_go.set()
        for call in waiting:
            with pytest.raises(RuntimeError, match="has stopped"):
                call.result(WAIT_S)


def test_an_engine_that_failed_is_never_drained():
    engine, _ = failed_engine(ScriptedCore(), Sinks())
    assert not engine.drain(0.0)


def test_a_snapshot_stands_for_the_records_applied_so_far(tmp_path):
    core = Core(Config(), receivers=(), playbooks=(), external_url="http://aiops.internal")
    with engine_of(core) as engine:
        engine.submit(ticks(1, 7))
        assert engine.drain(WAIT_S)
        path, seq = engine.write_snapshot(tmp_path).result(WAIT_S)
    assert seq == 7
    publish_snapshot(path)
    found = read_newest(tmp_path)
    assert found is not None and found[1]["seq"] == 7
