"""Sealed rows out of day files."""

from contextlib import closing

import numpy as np
import pytest
from block_samples import DAY, DAY_START_MS, STEP_MS, block, ref, running, times_of

from aiops.clock import DAY_MS
from aiops.errors import StoreError
from aiops.store.day_files import day_path, open_for_writing
from aiops.store.sample_reader import RowRun, SampleReader, judged, unpack

HOUR_MS = 3_600_000


def write(directory, *blocks) -> None:
    with running(directory) as store:
        store.put(blocks)


def found(directory, start_ms, end_ms, *refs):
    with closing(SampleReader(directory)) as reader:
        return reader.runs(refs, (), start_ms, end_ms)


def test_only_blocks_that_touch_the_span_are_read(tmp_path):
    write(tmp_path, *(block(seal=k, start_ms=DAY_START_MS + k * HOUR_MS) for k in range(4)))
    at_ms = DAY_START_MS + HOUR_MS
    assert list(found(tmp_path, at_ms, at_ms, ref(11))[11]) == [1]
    assert list(found(tmp_path, at_ms + 2 * STEP_MS, at_ms + HOUR_MS, ref(11))[11]) == [1, 2]
    assert found(tmp_path, at_ms + 2 * STEP_MS + 1, at_ms + HOUR_MS - 1, ref(11)) == {11: {}}


def test_rows_of_a_slow_series_are_found_in_a_file_of_days_later(tmp_path):
    write(tmp_path, block(n_rows=6, step_ms=DAY_MS))
    runs = found(tmp_path, DAY_START_MS, DAY_START_MS + HOUR_MS, ref(11))
    assert times_of(runs, 11)[0] == DAY_START_MS
    with closing(SampleReader(tmp_path)) as reader:
        assert set(reader.catalogue(DAY_START_MS, DAY_START_MS + HOUR_MS)) == {(11, 0)}


def test_a_block_both_waiting_and_written_is_there_once(tmp_path):
    waiting = block()
    write(tmp_path, waiting)
    with closing(SampleReader(tmp_path)) as reader:
        runs = reader.runs([ref(11)], [waiting], 0, 2**45)
    assert len(times_of(runs, 11)) == 3


def test_a_series_is_found_in_each_of_its_slots(tmp_path):
    write(tmp_path, block(slot=3), block(slot=70, start_ms=DAY_START_MS + HOUR_MS))
    runs = found(tmp_path, 0, 2**45, ref(11, slot=3), ref(11, slot=70))
    assert len(times_of(runs, 11)) == 6


def test_other_series_of_a_slot_are_not_shown(tmp_path):
    write(tmp_path, block(11, slot=3), block(12, slot=3, seal=1, start_ms=DAY_START_MS + HOUR_MS))
    assert times_of(found(tmp_path, 0, 2**45, ref(12, slot=3)), 12)[0] == DAY_START_MS + HOUR_MS


def test_days_before_the_span_are_left_out_of_the_catalogue(tmp_path):
    write(tmp_path, block(11), block(12, slot=1, seal=1, start_ms=DAY_START_MS + 2 * DAY_MS))
    with closing(SampleReader(tmp_path)) as reader:
        assert set(reader.catalogue(DAY_START_MS + DAY_MS, 2**45)) == {(12, 1)}


def test_nothing_is_found_where_there_are_no_files(tmp_path):
    assert found(tmp_path, 0, 2**45, ref(11)) == {11: {}}


def test_a_file_that_is_only_being_made_counts_as_absent(tmp_path):
    with closing(open_for_writing(tmp_path, DAY)) as connection:
        connection.execute("PRAGMA user_version=0")  # it is set last
        with closing(SampleReader(tmp_path)) as reader:
            assert reader.catalogue(0, 2**45) == {}
            connection.execute("PRAGMA user_version=1")
            write(tmp_path, block())
            assert set(reader.catalogue(0, 2**45)) == {(11, 0)}


def test_a_damaged_file_is_an_error_that_names_it(tmp_path):
    day_path(tmp_path, DAY).write_bytes(b"no database" * 1000)
    with pytest.raises(StoreError, match=day_path(tmp_path, DAY).name):
        found(tmp_path, 0, 2**45, ref(11))


def test_rows_come_back_sorted_when_runs_overlap():
    """A series that was forgotten may come back with samples older than its former ones."""
    runs = [
        run(start_ms=1000, n_rows=3),
        run(start_ms=2500, n_rows=2),
        run(start_ms=1500, n_rows=2),
    ]
    unpacked = unpack(ref(11), runs)
    rows = judged(unpacked, np.zeros(7), start_ms=1500, end_ms=3000)
    assert rows.ts_ms.tolist() == [1500, 2000, 2500, 2500, 3000]
    assert rows.values.tolist() == [1500.0, 1001.0, 2500.0, 1501.0, 1002.0]


def run(start_ms, n_rows) -> RowRun:
    made = block(start_ms=start_ms, n_rows=n_rows)
    return RowRun(0, start_ms, -1, 0, made.sealed.rows)


def test_the_span_includes_both_ends():
    unpacked = unpack(ref(11), [run(start_ms=1000, n_rows=5)])
    rows = judged(unpacked, np.zeros(5), start_ms=2000, end_ms=4000)
    assert rows.ts_ms.tolist() == [2000, 3000, 4000]
