"""The store benchmark believes no rows but those that were written."""

import dataclasses

import numpy as np
import pytest

from aiops.config import Config
from aiops.store.head import Head
from benchmarks import bench_store, store_codecs, store_parts, store_reads
from benchmarks.harness import BenchmarkError
from benchmarks.store_workload import KINDS, StoreWorkload

CHUNK_ROWS = 16
WORK = StoreWorkload(200, 4 * CHUNK_ROWS)
CONFIG = Config.model_validate({"store": {"chunk_rows": CHUNK_ROWS}})


class ForgetfulHead(Head):
    def append(self, batch):
        return iter(())


@pytest.fixture(scope="module")
def applied():
    return bench_store.applied(CONFIG, WORK)


def test_values_are_of_the_five_kinds_and_the_same_each_time():
    values = WORK.values()
    assert np.array_equal(values, WORK.values())
    by_kind = {kind: values[:, k :: len(KINDS)] for k, kind in enumerate(KINDS)}
    assert not (by_kind["gauge_4_kib"] % 4096).any()
    assert (np.diff(by_kind["counter"], axis=0) >= 0).all()
    assert (by_kind["small_int"] == np.rint(by_kind["small_int"])).all()


def test_memory_that_loses_rows_is_found_out():
    scrapes = WORK.judged(4)
    store_parts.check_append(scrapes, CHUNK_ROWS)
    with pytest.raises(BenchmarkError, match="slot 0"):
        store_parts.check_append(scrapes, CHUNK_ROWS, ForgetfulHead)


def test_a_block_with_other_rows_is_found_out(applied):
    _, blocks = applied
    one, other = store_parts.full_blocks(blocks, CHUNK_ROWS)[:2]
    data = store_parts.encoded([one, other])
    assert store_parts.is_equal(one, data[0])
    assert not store_parts.is_equal(one, data[1])


def test_a_codec_that_changes_values_is_found_out(applied):
    full = store_parts.full_blocks(applied[1], CHUNK_ROWS)
    for choice in store_codecs.choices(full, CHUNK_ROWS):
        data = choice.encode()
        assert store_codecs.is_lossless(choice, data)
        assert not store_codecs.is_lossless(choice, [*data[1:], data[0]])


def test_sizes_are_told_for_each_kind(applied):
    full = store_parts.full_blocks(applied[1], CHUNK_ROWS)
    by_kind = store_parts.block_bytes_by_kind(full)
    assert set(by_kind) == set(KINDS)
    assert by_kind["lognormal"] > by_kind["small_int"]


@pytest.mark.parametrize("write", [store_parts.write_blocks, store_parts.write_one_by_one])
def test_queries_are_answered_from_files_and_memory_as_written(applied, tmp_path, write):
    core, blocks = applied
    write(tmp_path, blocks)
    one = dataclasses.replace(store_reads.one_series(WORK, 3), n_rows=2 * CHUNK_ROWS)
    queries = [one, store_reads.neighbours(WORK, 1), store_reads.far_apart(WORK, 0)]
    with store_reads.open_rows(core, tmp_path) as rows:
        for read in (store_reads.time_files, store_reads.time_service):
            assert len(read(rows, WORK, queries, WORK.values()).latency_s) == 3
        changed = WORK.values()
        changed[-CHUNK_ROWS:, 3] += 1
        for read in (store_reads.time_files, store_reads.time_service):
            with pytest.raises(BenchmarkError, match="series 3 come"):
                read(rows, WORK, [one], changed)


def test_an_answer_that_lacks_a_series_is_found_out():
    with pytest.raises(BenchmarkError, match="gave 0 series"):
        store_reads.check_answer(WORK, store_reads.neighbours(WORK, 0), [], WORK.values())


def test_wide_queries_ask_for_a_hundred_series_once_each():
    for query in (store_reads.neighbours(WORK, 1), store_reads.far_apart(WORK, 1)):
        named = [i for i in range(200) if dict(WORK.labels(i))[query.label] == query.value]
        assert list(query.series) == named
        assert len(named) == 100
