"""Who turned round on the way to a bound is believed once it goes farther."""

import numpy as np

from aiops.detect.turns import MEMORY_MS, Turns

FULL = (0.0, -1.0)
"""A bound of 0 that is reached from above."""


def turned(*marks: float, aim=FULL) -> Turns:
    turns = Turns()
    for at_ms, mark in enumerate(marks):
        turns.is_believed(1, mark - 5.0 * aim[1], aim, at_ms)
        turns.is_believed(1, mark, aim, at_ms)
        turns.end(1, aim, at_ms)
    return turns


def test_a_first_and_a_second_time_everything_is_believed():
    assert Turns().is_believed(1, 50.0, FULL, 0)
    assert turned(10.0).is_believed(1, 50.0, FULL, 1)


def test_after_two_turns_only_what_goes_farther_is_believed():
    turns = turned(10.0, 12.0)
    assert not turns.is_believed(1, 50.0, FULL, 2)
    assert not turns.is_believed(1, 9.5, FULL, 2)
    assert turns.is_believed(1, 8.9, FULL, 2)


def test_a_bound_from_below_is_the_mirror_image():
    turns = turned(80.0, 70.0, aim=(100.0, 1.0))
    assert not turns.is_believed(1, 81.0, (100.0, 1.0), 2)
    assert turns.is_believed(1, 83.0, (100.0, 1.0), 2)


def test_other_series_are_none_of_its_business():
    assert turned(10.0, 10.0).is_believed(2, 50.0, FULL, 2)


def test_after_two_weeks_turns_are_forgotten():
    turns = turned(10.0, 10.0)
    assert turns.is_believed(1, 50.0, FULL, MEMORY_MS + 2)


def test_who_arrived_has_not_turned():
    turns = turned(0.0, 0.0, 0.0)
    assert turns.is_believed(1, 50.0, FULL, 3)


def test_who_was_not_on_the_way_cannot_turn():
    turns = Turns()
    for _ in range(5):
        turns.end(1, FULL, 0)
    assert turns.is_believed(1, 50.0, FULL, 1)


def test_a_forgotten_slot_begins_anew():
    turns = turned(10.0, 10.0)
    turns.forget(1)
    assert turns.is_believed(1, 50.0, FULL, 2)


def test_state_comes_back_and_goes_on_alike():
    first = turned(10.0, 12.0)
    first.is_believed(3, 20.0, FULL, 5)
    second = Turns()
    second.restore(first.state())
    assert np.array_equal(first.state(), second.state(), equal_nan=True)
    assert second.reaching() == [3]
    assert not second.is_believed(1, 50.0, FULL, 6)
