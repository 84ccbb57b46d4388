"""Rows of fine profiles are handed out, given back, and saved with those who have them."""

import numpy as np
import pytest

from aiops.detect.banks.profile_pool import ProfilePool
from aiops.detect.kernels.profile import FINE_SIZE
from aiops.errors import SnapshotError


def take(pool, slot, value):
    """Hand a row to a slot as kernels do, and write into it."""
    pool.left[0] -= 1
    row = pool.free[pool.left[0]]
    pool.fine_of[slot] = row
    pool.fine[row] = value
    return int(row)


def slots(*numbers):
    return np.array(numbers, np.int32)


def rows_of(pool, n_slots):
    return pool.fine[pool.fine_of[:n_slots], 0].tolist()


def test_every_row_but_the_first_is_handed_out_once():
    pool = ProfilePool(200)
    pool.make_room(200)
    rows = [take(pool, slot, slot) for slot in range(200)]
    assert len(set(rows)) == 200 and 0 not in rows
    assert (pool.fine[0] == 0).all()


def test_there_is_room_for_each_row_of_a_batch_and_never_for_more_than_the_slots():
    pool = ProfilePool(1000)
    pool.make_room(500)
    assert pool.left[0] >= 500
    pool.make_room(10**9)
    assert pool.left[0] >= 1000 and len(pool.fine) < 5000


def test_making_room_keeps_what_was_handed_out():
    pool = ProfilePool(300)
    for slot in range(40):
        take(pool, slot, slot + 1)
    pool.make_room(300)
    for slot in range(40, 300):
        take(pool, slot, slot + 1)
    assert rows_of(pool, 300) == [slot + 1 for slot in range(300)]
    assert len(set(pool.fine_of.tolist())) == 300


def test_a_released_row_is_empty_and_handed_out_again():
    pool = ProfilePool(4)
    row = take(pool, 2, 7.0)
    height = int(pool.left[0])
    pool.release(slots(1, 2, 2, 3))
    assert pool.left[0] == height + 1
    assert (pool.fine[row] == 0).all() and (pool.fine_of == 0).all()
    assert take(pool, 0, 1.0) == row


def test_rows_go_round_for_ever_without_growing():
    pool = ProfilePool(8)
    size = len(pool.fine)
    for turn in range(500):
        pool.make_room(8)
        take(pool, turn % 8, turn)
        pool.release(slots(turn % 8))
    assert len(pool.fine) == size and pool.left[0] == size - 1
    assert sorted(pool.free[: pool.left[0]].tolist()) == list(range(1, size))


def test_a_restored_pool_has_the_rows_and_hands_out_others():
    pool, other = ProfilePool(100), ProfilePool(100)
    for slot in (5, 3, 90):
        take(pool, slot, slot)
    take(other, 50, 50)
    other.restore({name: array.copy() for name, array in pool.state(100).items()}, 100)
    assert rows_of(other, 100) == rows_of(pool, 100)
    other.make_room(100)
    fresh = [take(other, slot, -1) for slot in range(60, 80)]
    assert rows_of(other, 60) == rows_of(pool, 60) and len(set(fresh)) == 20
    assert other.fine[other.fine_of[90], 0] == 90


def test_slots_beyond_the_saved_ones_have_no_rows():
    pool = ProfilePool(10)
    take(pool, 2, 2)
    take(pool, 8, 8)
    saved = {name: array.copy() for name, array in pool.state(5).items()}
    pool.restore(saved, 5)
    assert rows_of(pool, 10) == [0, 0, 2, 0, 0, 0, 0, 0, 0, 0]


@pytest.mark.parametrize(
    "saved",
    [
        {"season_owners": slots(1)},
        {"season_owners": slots(9), "season_fine": np.zeros((1, FINE_SIZE), np.float32)},
        {"season_owners": slots(-1), "season_fine": np.zeros((1, FINE_SIZE), np.float32)},
        {"season_owners": slots(1), "season_fine": np.zeros((1, 3), np.float32)},
        {"season_owners": slots(1, 2), "season_fine": np.zeros((1, FINE_SIZE), np.float32)},
    ],
)
def test_a_saved_pool_that_does_not_fit_is_refused(saved):
    with pytest.raises(SnapshotError, match="season"):
        ProfilePool(5).restore(saved, 5)
