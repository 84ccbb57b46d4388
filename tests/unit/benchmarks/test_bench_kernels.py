"""The kernel benchmark believes no kernel whose result is wrong, and leaves none out."""

from functools import partial

import numpy as np
import pytest

from aiops.detect.episodes import Episodes
from benchmarks import bench_kernels
from benchmarks.bench_kernels import KEY_CASES, SLOT_CASES, measure
from benchmarks.harness import BenchmarkError
from benchmarks.kernel_cases import Case
from benchmarks.kernel_cases_detect import Fleet, are_episodes_right
from tests.test_architecture import kernel_names

CASES = dict((*SLOT_CASES, *KEY_CASES))
WITH_KERNEL = [name for name, setup in CASES.items() if isinstance(setup, partial)]
SIZE = 96


def does_nothing(*_columns):
    return 0


class BlindEpisodes(Episodes):
    def step(self, *_columns):
        return []


@pytest.mark.parametrize("name", CASES)
def test_the_kernels_pass_their_checks(name):
    assert CASES[name](SIZE).is_right()


@pytest.mark.parametrize("name", WITH_KERNEL)
def test_a_kernel_that_does_nothing_is_found_out(name):
    setup = CASES[name]
    broken = partial(setup.func, *[does_nothing for _ in setup.args])
    assert not broken(SIZE).is_right()


def test_wrong_scores_are_found_out():
    fleet = Fleet(4)
    fleet.score = lambda: None  # the verdicts of the round before stay
    assert not fleet.agrees_with_twin()


def test_an_episode_machine_that_sees_nothing_is_found_out():
    assert not are_episodes_right(BlindEpisodes)


def test_no_figure_is_given_for_a_wrong_result():
    case = Case(1, lambda: None, lambda: False)
    with pytest.raises(BenchmarkError, match="k_wrong"):
        measure("k_wrong", lambda _size: case, 1)


@pytest.mark.parametrize(
    "name", ["k_u64_map_put", "k_u64_map_drop", "k_head_append", "k_head_take"]
)
def test_every_timed_call_has_all_its_rows_to_do(name):
    case = CASES[name](SIZE)
    told = []
    for _ in range(300):
        case.reset()
        told.append(case.call())
    assert set(told) == {case.n_rows}


def test_a_record_says_what_was_measured():
    record = measure("k_u64_map_get", CASES["k_u64_map_get"], SIZE, repeats=2)
    assert record["rows"] == record["keys"] == SIZE
    assert record["cpu_ns_per_row"] > 0


def test_each_kernel_has_a_case_and_not_just_a_mention():
    titles = " ".join(CASES)
    assert [name for name in kernel_names() if name not in titles] == []


def test_the_keys_are_measured_at_every_rung():
    options = bench_kernels.parse_options(["--only", "map_get", "--keys", "10", "20"])
    assert [size for _, _, size in bench_kernels.planned(options)] == [10, 20]


def test_the_hash_is_timed_over_the_blocks_it_is_meant_for():
    case = CASES["k_block_hash"](SIZE)
    assert 200 < case.facts["label_bytes_per_row"] < 300
    assert np.isclose(case.n_rows, SIZE)
