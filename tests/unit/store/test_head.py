"""The newest rows of every series in memory."""

import numpy as np
import pytest

from aiops.errors import SnapshotError
from aiops.store.head import Head, JudgedRows
from aiops.store.kernels.head import BEFORE_TS, GROUP_SLOTS, N_ROWS


def rows_of(slots, ts_ms) -> JudgedRows:
    n = len(slots)
    zeros = np.zeros(n)
    return JudgedRows(
        np.array(slots, np.int32),
        np.array(ts_ms, np.int64),
        np.arange(n, dtype=np.uint64),
        zeros,
        zeros,
        zeros,
        zeros,
        np.zeros(n, np.uint8),
    )


def fill(head: Head, slot: int, n_rows: int, start_ms: int = 1000):
    times = range(start_ms, start_ms + n_rows)
    return [sealed for ts in times for sealed in head.append(rows_of([slot], [ts]))]


def test_first_seals_of_groups_are_spread_over_the_length_of_a_chunk():
    head = Head(120)
    n_rows = [len(fill(head, group * GROUP_SLOTS, 121)[0].rows) for group in range(20)]
    assert len(set(n_rows)) == 20
    assert min(n_rows) >= 1 and max(n_rows) <= 120


def test_after_the_first_seal_a_group_holds_full_chunks():
    head = Head(16)
    sealed = fill(head, 0, 100)
    assert [len(group.rows) for group in sealed[1:]] == [16] * (len(sealed) - 1)
    assert [group.seal for group in sealed] == list(range(len(sealed)))


def test_a_seal_takes_the_whole_group_and_no_neighbour():
    head = Head(16)
    list(head.append(rows_of([0, GROUP_SLOTS - 1, GROUP_SLOTS], [1000, 1000, 1000])))
    sealed = head.seal(0)
    assert sealed.meta[:, N_ROWS].nonzero()[0].tolist() == [0, GROUP_SLOTS - 1]
    assert head.meta[:, N_ROWS].nonzero()[0].tolist() == [GROUP_SLOTS]


def test_growing_keeps_rows_seals_and_limits():
    head, grown = Head(16), Head(16)
    grown.grow(5000)
    for each in (head, grown):
        fill(each, 7, 40)
    head.grow(5000)
    for name, array in head.state(5000).items():
        assert array.tobytes() == grown.state(5000)[name].tobytes(), name


def test_a_forgotten_slot_has_no_rows_and_no_row_before_them():
    head = Head(16)
    fill(head, 3, 20)
    head.seal(0)
    head.forget(np.array([3], np.int32))
    assert head.meta[3].tolist() == [0, 0, -1, 0]
    assert (head.meta[4:, BEFORE_TS] == -1).all()


@pytest.mark.parametrize("chunk_rows", [16, 32])
def test_a_snapshot_with_more_rows_than_the_config_now_allows_is_taken_over(chunk_rows):
    before = Head(48)
    before.seal(0)  # later chunks are full ones
    fill(before, 0, 40)
    head = Head(chunk_rows)
    head.restore(before.state(1))
    assert head.rows[0, :40].tolist() == before.rows[0, :40].tolist()
    sealed = fill(head, 0, 1 + 2 * chunk_rows, start_ms=2000)
    assert [len(group.rows) for group in sealed] == [40, chunk_rows, chunk_rows]


def test_a_snapshot_with_fewer_rows_than_the_config_now_allows_is_taken_over():
    before = Head(16)
    before.seal(0)
    fill(before, 0, 10)
    head = Head(48)
    head.restore(before.state(1))
    sealed = fill(head, 0, 60, start_ms=2000)
    assert [len(group.rows) for group in sealed] == [16, 48]


def test_a_snapshot_with_other_groups_is_refused():
    state = dict(Head(16).state(GROUP_SLOTS))
    state["head.rows"] = state["head.rows"][:16]
    with pytest.raises(SnapshotError, match="groups"):
        Head(16).restore(state)
