"""What every journal promises, and what the one on disk promises besides."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from aiops.config import JournalConfig
from aiops.domain.records import Command, CommandVerb, Record, Tick
from aiops.domain.samples import SampleBatch
from aiops.errors import JournalError
from aiops.journal.base import Journal
from aiops.journal.memory import MemoryJournal
from aiops.journal.sqlite import SqliteJournal


class Places:
    """Makes journals of one kind and reopens them as after a restart."""

    def __init__(self, kind: str, path: Path) -> None:
        self._kind = kind
        self._path = path
        self._open: list[Journal] = []

    def open(self) -> Journal:
        made = self._made()
        self._open.append(made)
        return made

    def started(self) -> tuple[Journal, list[Record]]:
        journal, seen = self.open(), []
        journal.start(seen.extend)
        return journal, seen

    def reopened(self, journal: Journal) -> Journal:
        journal.close()
        if isinstance(journal, MemoryJournal):
            successor: Journal = MemoryJournal(records=journal.records())
            self._open.append(successor)
            return successor
        return self.open()

    def close(self) -> None:
        for journal in self._open:
            journal.close()

    def _made(self) -> Journal:
        if self._kind == "memory":
            return MemoryJournal()
        sync = "full" if self._kind == "sqlite-full" else "os"
        return SqliteJournal(self._path, JournalConfig(sync=sync), CollectorRegistry())


@pytest.fixture(params=["memory", "sqlite-full", "sqlite-os"])
def places(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Places]:
    made = Places(request.param, tmp_path / "journal.db")
    yield made
    made.close()


def append(journal: Journal, *, count: int = 1, start_ms: int = 100) -> list[int]:
    async def run() -> list[int]:
        return [await journal.append(Tick(), accepted_ms=start_ms + i) for i in range(count)]

    return asyncio.run(run())


def append_at_once(journal: Journal, count: int) -> list[int]:
    async def run() -> list[int]:
        waiting = (journal.append(Tick(), accepted_ms=i) for i in range(count))
        return list(await asyncio.gather(*waiting))

    return asyncio.run(run())


def seqs(journal: Journal, after_seq: int = 0) -> list[int]:
    return [record.seq for record in journal.replay(after_seq)]


def test_a_new_journal_is_empty(places: Places) -> None:
    journal = places.open()
    assert journal.last_seq() == 0
    assert seqs(journal) == []


def test_records_are_numbered_from_one_without_gaps(places: Places) -> None:
    journal, seen = places.started()
    assert append(journal, count=3) == [1, 2, 3]
    assert [(record.seq, record.accepted_ms) for record in seen] == [(1, 100), (2, 101), (3, 102)]
    assert journal.last_seq() == 3


def test_a_record_is_handed_on_before_append_returns(places: Places) -> None:
    journal, seen = places.started()

    async def run() -> None:
        for n in range(20):
            seq = await journal.append(Tick(), accepted_ms=n)
            assert seen[-1].seq == seq

    asyncio.run(run())


def test_appends_at_the_same_time_keep_their_order(places: Places) -> None:
    journal, seen = places.started()
    assert append_at_once(journal, 600) == list(range(1, 601))
    assert [record.accepted_ms for record in seen] == list(range(600))


def test_appends_whose_callers_were_cancelled_are_handed_on_once_settled(places: Places) -> None:
    journal, seen = places.started()

    async def run() -> int:
        appends = [asyncio.create_task(journal.append(Tick(), accepted_ms=i)) for i in range(50)]
        await asyncio.sleep(0)  # lets every task begin its append
        for task in appends:
            task.cancel()
        await journal.settle()
        return len(seen)

    assert asyncio.run(run()) == 50


def test_a_journal_where_nothing_waits_is_settled(places: Places) -> None:
    journal, _ = places.started()
    asyncio.run(journal.settle())
    append(journal, count=3)
    asyncio.run(journal.settle())


def test_records_come_back_after_a_restart_in_order(places: Places) -> None:
    journal, seen = places.started()
    append(journal, count=5)
    again = places.reopened(journal)
    assert list(again.replay(0)) == seen
    assert again.last_seq() == 5
    assert seqs(again, 3) == [4, 5]
    assert seqs(again, 5) == seqs(again, 99) == []


def test_numbering_goes_on_after_a_restart(places: Places) -> None:
    journal, _ = places.started()
    append(journal, count=2)
    again = places.reopened(journal)
    again.start(lambda _: None)
    assert append(again) == [3]


def test_what_was_trimmed_does_not_come_back_and_the_rest_does(places: Places) -> None:
    journal, _ = places.started()
    append(journal, count=5)
    journal.trim(3)
    append(journal)
    assert seqs(places.reopened(journal)) == [4, 5, 6]


def test_numbering_goes_on_after_everything_was_trimmed(places: Places) -> None:
    journal, _ = places.started()
    append(journal, count=3)
    journal.trim(3)
    assert append(journal) == [4]
    assert seqs(places.reopened(journal)) == [4]


def test_append_is_refused_before_start(places: Places) -> None:
    with pytest.raises(JournalError):
        append(places.open())


def test_append_is_refused_after_close(places: Places) -> None:
    journal, seen = places.started()
    append(journal)
    journal.close()
    with pytest.raises(JournalError, match="closed"):
        append(journal)
    assert len(seen) == 1


def test_lost_records_are_replaced_by_ticks(places: Places) -> None:
    journal, _ = places.started()
    append(journal, count=2)
    again = places.reopened(journal)
    again.fill(3, 5, at_ms=777)
    filled = [Record(seq, 777, Tick()) for seq in (3, 4, 5)]
    assert list(again.replay(2)) == filled
    again.start(lambda _: None)
    assert append(again) == [6]
    assert seqs(places.reopened(again)) == [1, 2, 3, 4, 5, 6]


def test_numbers_can_be_passed_over_without_anything_to_fill(places: Places) -> None:
    journal = places.open()
    journal.fill(101, 100, at_ms=777)
    journal.start(lambda _: None)
    assert append(journal) == [101]


def test_a_batch_comes_back_writable_and_aligned_as_kernels_need_it(places: Places) -> None:
    journal, _ = places.started()
    batch = SampleBatch(
        np.array([1, 2, 3], np.uint64),
        np.array([10, 20, 30], np.int64),
        np.array([0.5, np.nan, -0.0]),
        (3,),
        (b"\x0a\x01x",),
    )
    asyncio.run(journal.append(batch, accepted_ms=5))
    (record,) = places.reopened(journal).replay(0)
    assert isinstance(record.body, SampleBatch)
    for name in ("fingerprints", "ts_ms", "values"):
        column, sent = getattr(record.body, name), getattr(batch, name)
        assert column.flags.writeable and column.flags.aligned
        assert (column.dtype, column.tobytes()) == (sent.dtype, sent.tobytes())


def test_bodies_of_every_kind_may_follow_each_other(places: Places) -> None:
    journal, seen = places.started()

    async def run() -> None:
        await journal.append(Tick(), accepted_ms=1)
        await journal.append(Command(CommandVerb.RESOLVE, "inc-1-0", "ada", "é"), accepted_ms=2)

    asyncio.run(run())
    assert list(places.reopened(journal).replay(0)) == seen
