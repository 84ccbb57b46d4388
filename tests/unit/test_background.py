"""What runs beside the requests: forgetting idle series, snapshots, trimming."""

import asyncio
import shutil
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from aiops.background import Background, Parts
from aiops.clock import ManualClock
from aiops.config import Config
from aiops.domain.labels import labels_from
from aiops.domain.records import Evict, Tick
from aiops.domain.samples import SampleBatch
from aiops.engine import Engine
from aiops.errors import JournalError
from aiops.journal.memory import MemoryJournal
from aiops.lifecycle.snapshot import seq_of, snapshots_present
from aiops.pipeline import Core
from aiops.series.directory import SeriesDirectory
from aiops.series.kernels import intake
from aiops.store.base import StateAccess
from aiops.store.memory_state import MemoryStateStore
from aiops.store.samples import SampleStore
from aiops.store.state_writer import StateWriter
from aiops.wire.labels import encode_labels

IDLE_S = 60
WAIT_S = 30.0
FINGERPRINTS = {"a": 0x9E3779B97F4A7C15, "b": 0xC2B2AE3D27D4EB4F}


class Journal(MemoryJournal):
    """A journal before which something may happen, or which fails."""

    def __init__(self) -> None:
        super().__init__()
        self.before_evict = lambda: None
        self.is_broken = False
        self.trimmed: list[int] = []

    async def append(self, body, *, accepted_ms: int) -> int:
        if self.is_broken:
            raise JournalError("disk full")
        if isinstance(body, Evict):
            self.before_evict()
        return await super().append(body, accepted_ms=accepted_ms)

    def append_now(self, body, accepted_ms: int) -> None:
        """Append from within another append, as another request would in its place."""
        waiting = super().append(body, accepted_ms=accepted_ms)
        with pytest.raises(StopIteration):
            waiting.send(None)

    def trim(self, up_to_seq: int) -> None:
        self.trimmed.append(up_to_seq)
        super().trim(up_to_seq)


class Rig:
    """The parts of a service without its edge, whose senders are played by `send`."""

    def __init__(self, directory: Path) -> None:
        registry = CollectorRegistry()
        config = Config.model_validate({"data_dir": directory, "engine": {"series_idle_s": IDLE_S}})
        self.clock = ManualClock()
        self.journal = Journal()
        self.directory = SeriesDirectory()
        self.core = Core(config, receivers=(), playbooks=(), external_url="http://aiops.internal")
        self.samples = SampleStore(directory, retention_days=15, registry=registry, linger_s=0.0)
        store = MemoryStateStore(clock=self.clock)
        self.writer = StateWriter(store, lambda seq, has_effects: None, registry)
        self.engine = Engine(
            self.core,
            self.writer,
            self.samples,
            clock=self.clock,
            failed=lambda error: pytest.fail(repr(error)),
            registry=registry,
        )
        self.parts = Parts(
            config,
            self.clock,
            self.journal,
            self.engine,
            self.samples,
            StateAccess(store, self.writer.run),
            self.writer,
            self.directory,
            registry,
        )
        self.background = Background(self.parts)

    def start(self) -> None:
        for part in (self.writer, self.samples, self.engine):
            part.start()
        self.journal.start(self.engine.submit)

    def close(self) -> None:
        for part in (self.engine, self.samples, self.writer):
            part.close()

    def send(self, *names: str) -> None:
        """Take one sample of each series as the door does: strangers are announced with it."""
        wanted = [FINGERPRINTS[name] for name in names]
        strangers = [name for name in names if not self.directory.is_known(FINGERPRINTS[name])]
        new = [FINGERPRINTS[name] for name in strangers]
        self.directory.announce(np.array(new, np.uint64))
        now_ms = self.clock.now_ms()
        batch = SampleBatch(
            np.array(wanted, np.uint64),
            np.full(len(names), now_ms),
            np.ones(len(names)),
            tuple(new),
            tuple(encode_labels(labels_from({"__name__": name})) for name in strangers),
        )
        self.journal.append_now(batch, now_ms)

    def settle(self) -> None:
        assert self.engine.drain(WAIT_S)

    def evict(self) -> int:
        self.settle()
        n_evicted = asyncio.run(self.background.evict_once())
        self.settle()
        return n_evicted

    def snapshot(self) -> bool:
        return asyncio.run(self.background.snapshot_once())

    def tick(self, count: int = 1) -> None:
        for _ in range(count):
            self.journal.append_now(Tick(), self.clock.now_ms())
        self.settle()

    def live(self) -> set[str]:
        found = self.core.data.table.live_fingerprints().tolist()
        return {name for name, fingerprint in FINGERPRINTS.items() if fingerprint in found}

    def known(self) -> set[str]:
        return {name for name in FINGERPRINTS if self.directory.is_known(FINGERPRINTS[name])}

    def n_lost(self) -> int:
        return int(self.core.data.counts[intake.N_UNKNOWN])

    def n_kept(self) -> int:
        return int(self.core.data.counts[intake.N_KEPT])


@contextmanager
def rig(directory: Path):
    made = Rig(directory)
    made.start()
    try:
        yield made
    finally:
        made.close()


def test_idle_series_are_forgotten_here_and_in_the_core_and_others_are_not(tmp_path):
    with rig(tmp_path) as made:
        made.send("a", "b")
        made.clock.advance(IDLE_S * 1000 + 1)
        made.send("b")
        assert made.evict() == 1
        assert made.live() == made.known() == {"b"}


def test_without_idle_series_nothing_is_ordered(tmp_path):
    with rig(tmp_path) as made:
        made.send("a")
        made.clock.advance(IDLE_S * 1000)
        assert made.evict() == 0
        assert not any(isinstance(r.body, Evict) for r in made.journal.records())


def test_a_series_that_comes_back_after_the_order_is_announced_again(tmp_path):
    with rig(tmp_path) as made:
        made.send("a")
        made.clock.advance(IDLE_S * 1000 + 1)
        made.evict()
        made.send("a")
        made.settle()
        assert made.live() == made.known() == {"a"}
        assert (made.n_kept(), made.n_lost()) == (2, 0)


def test_a_series_that_comes_back_right_before_the_order_stays(tmp_path):
    """It was forgotten here already, so it is announced again, in a record before the order."""
    with rig(tmp_path) as made:
        made.send("a", "b")
        made.clock.advance(IDLE_S * 1000 + 1)
        made.journal.before_evict = lambda: made.send("a")
        made.evict()
        assert made.live() == made.known() == {"a"}
        made.clock.advance(1000)
        made.send("a")
        made.settle()
        assert (made.n_kept(), made.n_lost()) == (4, 0)


class ForgettingLate(SeriesDirectory):
    """A directory before which a request gets its turn, between the look and the forgetting."""

    def __init__(self) -> None:
        super().__init__()
        self.before_forget = lambda: None

    def forget(self, fingerprints) -> None:
        self.before_forget()
        super().forget(fingerprints)


def test_a_series_that_comes_back_before_it_is_forgotten_loses_nothing(tmp_path):
    """The sample is not announced with anything, and the core, which saw it, keeps the series."""
    with rig(tmp_path) as made:
        directory = ForgettingLate()
        made.directory = directory
        made.background = Background(
            replace(made.parts, directory=directory, registry=CollectorRegistry())
        )
        made.send("a")
        made.clock.advance(IDLE_S * 1000 + 1)
        directory.before_forget = lambda: made.send("a")
        made.evict()
        assert made.live() == {"a"}
        assert made.known() == set()
        made.clock.advance(1000)
        made.send("a")
        made.settle()
        assert made.known() == {"a"}
        assert (made.n_kept(), made.n_lost()) == (3, 0)


def test_an_order_the_journal_refuses_changes_nothing(tmp_path):
    with rig(tmp_path) as made:
        made.send("a")
        made.clock.advance(IDLE_S * 1000 + 1)
        made.settle()
        made.journal.is_broken = True
        assert made.evict() == 0
        assert made.live() == made.known() == {"a"}
        made.journal.is_broken = False
        assert made.evict() == 1


def test_the_journal_is_trimmed_behind_the_older_snapshot_only(tmp_path):
    with rig(tmp_path) as made:
        for n_more in (10, 20, 30):
            made.tick(n_more)
            assert made.snapshot()
        assert [seq_of(path) for path in snapshots_present(tmp_path)] == [60, 30]
        assert made.journal.trimmed == [10, 30]
        assert made.journal.records()[0].seq == 31


def test_a_snapshot_is_published_only_after_rows_and_incidents_before_it_are_on_disk(tmp_path):
    asked: list[str] = []

    class Behind:
        def __init__(self, name: str, *, is_done: bool) -> None:
            self._name = name
            self._is_done = is_done

        def wait_written(self, seq: int, timeout_s: float) -> bool:
            assert seq == 5
            asked.append(self._name)
            return self._is_done

        def flush(self, timeout_s: float) -> bool:
            asked.append(self._name)
            return self._is_done

    with rig(tmp_path) as made:
        made.tick(5)
        for is_state_done, are_rows_done in ((False, True), (True, False)):
            parts = replace(
                made.parts,
                state_writer=Behind("state", is_done=is_state_done),
                samples=Behind("rows", is_done=are_rows_done),
                registry=CollectorRegistry(),
            )
            assert not asyncio.run(Background(parts).snapshot_once())
    assert asked == ["state", "state", "rows"]
    assert list(tmp_path.glob("snapshot-*")) == []
    assert made.journal.trimmed == []


def test_a_snapshot_that_fails_is_told_and_the_next_one_works(tmp_path):
    directory = tmp_path / "data"
    directory.mkdir()
    with rig(directory) as made:
        made.tick(5)
        shutil.rmtree(directory)
        assert not made.snapshot()
        directory.mkdir()
        assert made.snapshot()
    assert [seq_of(path) for path in snapshots_present(directory)] == [5]


def test_rows_sealed_before_a_snapshot_are_on_disk_once_it_is_published(tmp_path):
    with rig(tmp_path) as made:
        for _ in range(200):
            made.clock.advance(1000)
            made.send("a")
        made.settle()
        assert made.snapshot()
        assert made.samples.pending() == []
        assert list(tmp_path.glob("samples-*.db")) != []
