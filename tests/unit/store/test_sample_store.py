"""Sealed blocks on their way into day files."""

import sqlite3
import threading
from contextlib import closing

import pytest
from block_samples import DAY, DAY_START_MS, STEP_MS, block, ref, running, sample_store, times_of

from aiops.clock import DAY_MS
from aiops.store.day_files import day_path, days_present, open_for_writing
from aiops.store.sample_reader import SampleReader
from aiops.store.samples import PENDING_MAX

ALL_MS = (0, 2**45)
FLUSH_S = 30.0


def stored(directory, *refs):
    with closing(SampleReader(directory)) as reader:
        return reader.runs(refs, (), *ALL_MS)


def catalogue(directory):
    with closing(SampleReader(directory)) as reader:
        return reader.catalogue(*ALL_MS)


def wait_until(is_so) -> None:
    """Give the writer's thread the processor until it has got somewhere."""
    pause = threading.Event()
    for _ in range(2000):
        if is_so():
            return
        pause.wait(0.005)
    pytest.fail("the thread did not get there")


def test_blocks_come_back_after_a_flush(tmp_path):
    with running(tmp_path) as store:
        store.put([block(11), block(12, slot=40)])
        assert store.flush(FLUSH_S)
        runs = stored(tmp_path, ref(11), ref(12, slot=40))
        assert times_of(runs, 11) == times_of(runs, 12)
        assert times_of(runs, 11) == [DAY_START_MS + k * STEP_MS for k in range(3)]
        assert store.pending() == []


def test_a_block_lies_in_the_file_of_its_latest_row(tmp_path):
    with running(tmp_path) as store:
        store.put([block(start_ms=DAY_START_MS - 1000), block(seal=1, start_ms=DAY_START_MS)])
        assert store.flush(FLUSH_S)
    assert days_present(tmp_path) == [DAY]


def test_a_block_written_again_is_there_once(tmp_path):
    with running(tmp_path) as store:
        store.put([block(), block(seal=1, start_ms=DAY_START_MS + 9000)])
        assert store.flush(FLUSH_S)
        store.put([block()])
        assert store.flush(FLUSH_S)
    assert len(times_of(stored(tmp_path, ref(11)), 11)) == 6


def test_blocks_are_readable_while_they_wait(tmp_path):
    store = sample_store(tmp_path)  # not started: everything waits
    store.put([block()])
    with closing(SampleReader(tmp_path)) as reader:
        runs = reader.runs([ref(11)], store.pending(), *ALL_MS)
    assert len(times_of(runs, 11)) == 3


def test_what_was_flushed_needs_no_write_ahead_file(tmp_path):
    """A copy of the database file alone has the rows: they are where a power cut leaves them."""
    with running(tmp_path) as store:
        for day in range(6):  # more days than are kept open
            store.put([block(seal=day, start_ms=DAY_START_MS + day * DAY_MS)])
            with closing(SampleReader(tmp_path)) as reader:
                reader.catalogue(*ALL_MS)
        assert store.flush(FLUSH_S)
        copy = tmp_path / "copy"
        copy.mkdir()
        for path in tmp_path.glob("samples-*.db"):
            (copy / path.name).write_bytes(path.read_bytes())
        assert len(times_of(stored(copy, ref(11)), 11)) == 18


def test_close_writes_what_waits(tmp_path):
    with running(tmp_path, linger_s=3600.0) as store:
        store.put([block()])
    assert len(times_of(stored(tmp_path, ref(11)), 11)) == 3


def test_a_disk_that_fails_is_tried_again_until_it_takes_the_blocks(tmp_path):
    obstacle = day_path(tmp_path, DAY)
    obstacle.mkdir()
    with running(tmp_path) as store:
        store.put([block()])
        wait_until(lambda: not store.is_healthy)
        assert not store.flush(0.0)
        assert len(store.pending()) == 1
        obstacle.rmdir()
        assert store.flush(FLUSH_S)
        assert store.is_healthy
    assert len(times_of(stored(tmp_path, ref(11)), 11)) == 3


def test_days_that_could_be_written_are_durable_though_another_could_not(tmp_path):
    obstacle = day_path(tmp_path, DAY + 1)
    obstacle.mkdir()
    with running(tmp_path) as store:
        store.put([block(), block(seal=1, start_ms=DAY_START_MS + DAY_MS)])
        wait_until(lambda: not store.is_healthy)
        obstacle.rmdir()
        assert store.flush(FLUSH_S)
    assert days_present(tmp_path) == [DAY, DAY + 1]
    assert len(times_of(stored(tmp_path, ref(11)), 11)) == 6


def test_close_gives_up_on_a_broken_disk(tmp_path):
    day_path(tmp_path, DAY).mkdir()
    with running(tmp_path, retry_s=3600.0) as store:
        store.put([block()])
        wait_until(lambda: not store.is_healthy)
    assert len(store.pending()) == 1


def test_a_full_queue_holds_the_engine_up_but_not_the_stop(tmp_path):
    day_path(tmp_path, DAY).mkdir()
    with running(tmp_path) as store:
        store.put([block()] * PENDING_MAX)
        engine = threading.Thread(target=store.put, args=([block()],))
        engine.start()
        engine.join(0.02)
        assert engine.is_alive()
    engine.join(FLUSH_S)
    assert not engine.is_alive()


def test_a_damaged_file_is_set_aside_and_the_day_begins_anew(tmp_path):
    path = day_path(tmp_path, DAY)
    path.write_bytes(b"no database" * 1000)
    with running(tmp_path) as store:
        store.put([block()])
        assert store.flush(FLUSH_S)
    assert len(times_of(stored(tmp_path, ref(11)), 11)) == 3
    assert path.with_name(path.name + ".damaged").read_bytes().startswith(b"no database")


def test_a_file_of_a_newer_release_is_not_touched(tmp_path):
    with closing(open_for_writing(tmp_path, DAY)) as connection:
        connection.execute("PRAGMA user_version=99")
    with running(tmp_path) as store:
        store.put([block()])
        wait_until(lambda: not store.is_healthy)
    with closing(sqlite3.connect(day_path(tmp_path, DAY))) as connection:
        assert connection.execute("SELECT count(*) FROM chunks").fetchone() == (0,)


def test_whole_days_beyond_retention_are_deleted(tmp_path):
    with running(tmp_path, retention_days=2) as store:
        for day in range(5):
            store.put([block(seal=day, start_ms=DAY_START_MS + day * DAY_MS)])
        assert store.flush(FLUSH_S)
        store.prune(DAY_START_MS + 4 * DAY_MS + 1)
        wait_until(lambda: days_present(tmp_path) == [DAY + 2, DAY + 3, DAY + 4])
        assert store.flush(FLUSH_S)  # does not bring them back
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [day_path(tmp_path, DAY + day).name for day in (2, 3, 4)]


def test_the_catalogue_names_series_once_for_each_slot(tmp_path):
    with running(tmp_path) as store:
        store.put([block(11, slot=3), block(11, slot=3, seal=1), block(12, slot=4, seal=2)])
        store.put([block(11, slot=70)])  # it was forgotten and came back
        store.put([block(13, slot=100, is_named=False)])
        assert store.flush(FLUSH_S)
    assert set(catalogue(tmp_path)) == {(11, 3), (12, 4), (11, 70)}
    assert catalogue(tmp_path)[11, 3] == catalogue(tmp_path)[11, 70]


def test_fingerprints_with_the_highest_bit_set_come_back(tmp_path):
    fingerprint = 2**64 - 5
    with running(tmp_path) as store:
        store.put([block(fingerprint)])
        assert store.flush(FLUSH_S)
    assert set(catalogue(tmp_path)) == {(fingerprint, 0)}
    assert len(times_of(stored(tmp_path, ref(fingerprint)), fingerprint)) == 3


def test_an_unexpected_failure_shows_and_nobody_waits_for_ever(tmp_path):
    with running(tmp_path) as store:
        store.put([None])  # type: ignore[list-item]
        wait_until(lambda: not store.is_healthy)
        store.put([block()] * PENDING_MAX)
        store.put([block()])
        assert not store.flush(0.0)
