"""The way back after a stop or a crash."""

import asyncio
from pathlib import Path

import pytest

from aiops.domain.effects import IncidentEffect
from aiops.domain.records import Record, Tick
from aiops.errors import SnapshotError
from aiops.journal.memory import MemoryJournal
from aiops.lifecycle.snapshot import publish_snapshot, snapshots_present, write_snapshot
from aiops.pipeline import Core
from aiops.recovery import FILL_MAX, Known, recover
from tests.simulation.workload import Workload, small_config, small_core

NOW_MS = 1_800_000_000_000


class Sinks:
    """Takes effects and rows of replayed records."""

    def __init__(self) -> None:
        self.seqs: list[int] = []
        self.effects: list[IncidentEffect] = []
        self.n_blocks = 0

    def put(self, first, effects=None) -> None:
        if effects is None:
            self.n_blocks += len(first)
        else:
            self.seqs.append(first)
            self.effects += effects


def core() -> Core:
    return small_core(small_config())


def records(n_records: int) -> list[Record]:
    return list(Workload(4).records(n_records))


def snapshot(directory: Path, kept: list[Record]) -> None:
    saved = core()
    for record in kept:
        saved.apply(record)
    arrays, facts = saved.state()
    publish_snapshot(write_snapshot(directory, saved.applied_seq, arrays, facts))


def recovered(journal, directory, *, written_seq=0, sinks=None) -> tuple[Core, int]:
    fresh, sinks = core(), sinks or Sinks()
    known = Known(NOW_MS, written_seq)
    return fresh, recover(fresh, journal, directory, effects=sinks, rows=sinks, known=known)


def damage(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def test_the_first_start_begins_with_nothing(tmp_path):
    fresh, n_records = recovered(MemoryJournal(), tmp_path)
    assert (fresh.applied_seq, n_records) == (0, 0)


def test_without_a_snapshot_the_whole_journal_is_replayed(tmp_path):
    kept = records(50)
    sinks = Sinks()
    fresh, n_records = recovered(MemoryJournal(records=kept), tmp_path, sinks=sinks)
    assert (fresh.applied_seq, n_records) == (50, 50)
    assert sinks.seqs == list(range(1, 51))


def test_behind_a_snapshot_only_the_tail_is_replayed_and_told(tmp_path):
    kept = records(200)
    whole, sinks = Sinks(), Sinks()
    once, _ = recovered(MemoryJournal(records=kept), tmp_path, sinks=whole)
    snapshot(tmp_path, kept[:150])
    fresh, n_records = recovered(MemoryJournal(records=kept[100:]), tmp_path, sinks=sinks)
    assert (fresh.applied_seq, n_records) == (200, 50)
    assert sinks.seqs == list(range(151, 201))
    assert repr(sinks.effects) == repr([e for e in whole.effects if e.seq > 150])
    assert fresh.correlator.dump() == once.correlator.dump()


def test_the_older_snapshot_and_a_longer_tail_serve_when_the_newest_is_damaged(tmp_path):
    kept = records(200)
    snapshot(tmp_path, kept[:100])
    snapshot(tmp_path, kept[:150])
    damage(snapshots_present(tmp_path)[0])
    fresh, n_records = recovered(MemoryJournal(records=kept[100:]), tmp_path)
    assert (fresh.applied_seq, n_records) == (200, 100)


def test_a_journal_that_lacks_what_the_snapshot_needs_is_refused(tmp_path):
    kept = records(200)
    snapshot(tmp_path, kept[:100])
    with pytest.raises(SnapshotError, match="goes on at 121, the state ends at 100"):
        recovered(MemoryJournal(records=kept[120:]), tmp_path)


def test_a_trimmed_journal_is_refused_when_no_snapshot_is_left(tmp_path):
    kept = records(200)
    snapshot(tmp_path, kept[:100])
    damage(snapshots_present(tmp_path)[0])
    with pytest.raises(SnapshotError, match="goes on at 51"):
        recovered(MemoryJournal(records=kept[50:]), tmp_path)


def test_a_wholly_trimmed_journal_is_refused_when_no_snapshot_is_left(tmp_path):
    journal = MemoryJournal(records=records(10))
    journal.trim(10)
    with pytest.raises(SnapshotError, match="the state ends at 0"):
        recovered(journal, tmp_path)


def test_stored_incidents_without_journal_and_snapshot_are_refused(tmp_path):
    with pytest.raises(SnapshotError, match="stored up to record 7"):
        recovered(MemoryJournal(), tmp_path, written_seq=7)


def next_seq(journal: MemoryJournal) -> int:
    journal.start(lambda _: None)
    return asyncio.run(journal.append(Tick(), accepted_ms=NOW_MS))


def test_numbers_of_records_lost_behind_a_snapshot_are_not_given_again(tmp_path):
    kept = records(100)
    snapshot(tmp_path, kept)
    journal = MemoryJournal(records=kept[:95])  # a power cut with sync: os
    fresh, _ = recovered(journal, tmp_path)
    assert fresh.applied_seq == journal.last_seq() == 100
    assert [record.seq for record in journal.records()] == list(range(1, 101))
    assert next_seq(journal) == 101


def test_numbers_of_lost_records_whose_effects_are_stored_are_not_given_again(tmp_path):
    kept = records(95)
    journal = MemoryJournal(records=kept)
    sinks = Sinks()
    fresh, n_records = recovered(journal, tmp_path, written_seq=100, sinks=sinks)
    assert (fresh.applied_seq, n_records) == (100, 100)
    assert journal.records()[95:] == tuple(Record(s, NOW_MS, Tick()) for s in range(96, 101))
    assert sinks.seqs == list(range(1, 101))
    assert next_seq(journal) == 101


def test_a_start_after_lost_records_is_followed_by_ordinary_ones(tmp_path):
    journal = MemoryJournal(records=records(95))
    recovered(journal, tmp_path, written_seq=100)
    assert next_seq(journal) == 101
    again, _ = recovered(MemoryJournal(records=journal.records()), tmp_path, written_seq=100)
    assert again.applied_seq == 101


def test_a_new_journal_goes_on_where_the_snapshot_ends(tmp_path):
    saved = core()
    saved.apply(Record(FILL_MAX + 500, NOW_MS, Tick()))
    arrays, facts = saved.state()
    publish_snapshot(write_snapshot(tmp_path, saved.applied_seq, arrays, facts))
    journal = MemoryJournal()
    fresh, n_records = recovered(journal, tmp_path)
    assert (fresh.applied_seq, n_records) == (FILL_MAX + 500, 0)
    assert journal.records() == ()
    assert next_seq(journal) == FILL_MAX + 501


def test_leftovers_of_a_crashed_snapshot_are_removed(tmp_path):
    arrays, facts = core().state()
    path = write_snapshot(tmp_path, 3, arrays, facts)
    recovered(MemoryJournal(), tmp_path)
    assert not path.exists()
    assert list(tmp_path.iterdir()) == []


def test_a_snapshot_of_another_release_is_refused_with_a_way_out(tmp_path):
    arrays, facts = core().state()
    publish_snapshot(write_snapshot(tmp_path, 3, arrays, {**facts, "state_version": 99}))
    with pytest.raises(SnapshotError, match="start the release that wrote it"):
        recovered(MemoryJournal(), tmp_path)


def test_a_snapshot_that_lacks_a_part_is_refused_with_a_way_out(tmp_path):
    arrays, facts = core().state()
    for name in arrays:
        partial = {other: array for other, array in arrays.items() if other != name}
        publish_snapshot(write_snapshot(tmp_path, 3, partial, facts))
        with pytest.raises(SnapshotError):
            recovered(MemoryJournal(), tmp_path)
