import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiops.series.directory import NewSeriesBudget, SeriesDirectory


def u64(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.uint64)


def resolve(directory: SeriesDirectory, *keys: int) -> tuple[list[int], list[int]]:
    """Return (fingerprint of each key, indices of the unknown)."""
    fingerprints = np.full(len(keys), 99, np.uint64)
    unknown = directory.resolve(u64(*keys), fingerprints)
    return fingerprints.tolist(), unknown.tolist()


def test_an_announced_series_is_its_own_key():
    directory = SeriesDirectory()
    directory.announce(u64(5, 7))
    assert resolve(directory, 7, 6, 5) == ([7, 0, 5], [1])
    assert directory.is_known(5)
    assert not directory.is_known(6)


def test_nothing_unknown_is_an_empty_column_of_indices():
    directory = SeriesDirectory()
    directory.announce(u64(5))
    assert resolve(directory, 5) == ([5], [])
    assert resolve(directory) == ([], [])


def test_the_key_of_series_without_one_is_always_unknown():
    directory = SeriesDirectory()
    directory.announce(u64(5))
    assert resolve(directory, 0, 5) == ([0, 5], [0])


def test_an_alias_names_the_series_and_is_none_itself():
    directory = SeriesDirectory()
    directory.announce(u64(5))
    assert directory.alias(50, 5)
    assert resolve(directory, 50) == ([5], [])
    assert directory.n_series == 1


def test_announcing_twice_counts_once():
    directory = SeriesDirectory()
    directory.announce(u64(5, 6))
    directory.announce(u64(6, 7))
    assert directory.n_series == 3


def test_forgetting_removes_a_series_with_its_aliases_and_no_other():
    directory = SeriesDirectory()
    directory.announce(u64(5, 6))
    directory.alias(50, 5)
    directory.alias(51, 5)
    directory.alias(60, 6)
    directory.forget(u64(5, 999))
    assert resolve(directory, 5, 50, 51, 6, 60) == ([0, 0, 0, 6, 6], [0, 1, 2])
    assert directory.n_series == 1


def test_a_forgotten_series_can_come_back():
    directory = SeriesDirectory()
    directory.announce(u64(5))
    directory.forget(u64(5))
    directory.announce(u64(5))
    assert (directory.n_series, resolve(directory, 5)) == (1, ([5], []))


def test_aliases_are_bounded_and_room_comes_back_with_what_is_forgotten():
    directory = SeriesDirectory(aliases_max=2)
    directory.announce(u64(5, 6))
    assert [directory.alias(key, 5) for key in (50, 51, 52)] == [True, True, False]
    assert resolve(directory, 52) == ([0], [0])
    directory.forget(u64(5))
    assert directory.alias(60, 6)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["announce", "alias", "forget"]), st.integers(1, 9), st.integers(1, 5)
        ),
        max_size=60,
    )
)
@settings(max_examples=150, derandomize=True)
def test_directory_equals_a_dict(steps):
    directory = SeriesDirectory(aliases_max=10)
    names: dict[int, int] = {}
    for verb, key, fingerprint in steps:
        if verb == "announce":
            directory.announce(u64(fingerprint))
            names[fingerprint] = fingerprint
        elif verb == "alias" and fingerprint in names:
            if directory.alias(key + 100, fingerprint):
                names[key + 100] = fingerprint
        elif verb == "forget":
            directory.forget(u64(fingerprint))
            names = {name: owner for name, owner in names.items() if owner != fingerprint}
        wanted = [names.get(name, 0) for name in range(1, 110)]
        assert resolve(directory, *range(1, 110))[0] == wanted
        assert directory.n_series == sum(name == owner for name, owner in names.items())


def budget() -> NewSeriesBudget:
    return NewSeriesBudget(per_s=10, burst=100)


def test_a_fresh_budget_holds_its_burst():
    assert budget().take(150, 0.0) == 100


def test_tokens_come_back_with_time_up_to_the_burst():
    subject = budget()
    subject.take(100, 0.0)
    assert subject.take(5, 0.05) == 0
    assert subject.take(100, 1.0) == 10
    assert subject.take(500, 1000.0) == 100


def test_parts_of_a_token_add_up():
    subject = budget()
    subject.take(100, 0.0)
    assert sum(subject.take(1, step * 0.05) for step in range(1, 41)) == 20


@pytest.mark.parametrize("later_s", [5.0, 1.0])
def test_time_that_stands_still_or_runs_back_gives_nothing(later_s):
    subject = budget()
    subject.take(100, 5.0)
    assert subject.take(1, later_s) == 0


def test_tokens_given_back_can_be_taken_again_but_never_exceed_the_burst():
    subject = budget()
    subject.take(40, 0.0)
    subject.give_back(15)
    assert subject.take(100, 0.0) == 75
    subject.give_back(1000)
    assert subject.take(1000, 0.0) == 100
