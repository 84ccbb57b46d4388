import asyncio

import pytest

from aiops.domain.records import Record, Tick
from aiops.errors import JournalError, OverloadError
from aiops.journal.base import Journal
from aiops.journal.memory import MemoryJournal


def started(**kwargs) -> tuple[MemoryJournal, list[Record]]:
    seen: list[Record] = []
    journal = MemoryJournal(**kwargs)
    journal.start(seen.extend)
    return journal, seen


def append(journal: Journal, *, count: int = 1) -> list[int]:
    async def run() -> list[int]:
        return [await journal.append(Tick(), accepted_ms=100 + i) for i in range(count)]

    return asyncio.run(run())


def test_records_are_numbered_from_one_and_handed_on_in_order():
    journal, seen = started()
    assert append(journal, count=3) == [1, 2, 3]
    assert [(r.seq, r.accepted_ms) for r in seen] == [(1, 100), (2, 101), (3, 102)]
    assert journal.last_seq() == 3


def test_replay_yields_only_what_is_behind_the_position():
    journal, _ = started()
    append(journal, count=4)
    assert [r.seq for r in journal.replay(2)] == [3, 4]


def test_trim_forgets_records_but_numbering_goes_on():
    journal, _ = started()
    append(journal, count=3)
    journal.trim(3)
    assert list(journal.replay(0)) == []
    assert append(journal) == [4]


def test_append_is_refused_before_start_and_after_close():
    with pytest.raises(JournalError, match="not started"):
        append(MemoryJournal())
    journal, seen = started()
    journal.close()
    with pytest.raises(JournalError, match="closed"):
        append(journal)
    assert seen == [] and journal.last_seq() == 0


def test_a_full_journal_refuses_until_trimmed():
    journal, _ = started(records_max=2)
    append(journal, count=2)
    with pytest.raises(OverloadError):
        append(journal)
    journal.trim(1)
    assert append(journal) == [3]


def test_a_successor_continues_from_the_records_it_is_given():
    journal, _ = started()
    append(journal, count=2)
    successor, _ = started(records=journal.records())
    assert [r.seq for r in successor.replay(0)] == [1, 2]
    assert append(successor) == [3]
