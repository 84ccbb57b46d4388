"""What is noted about the data itself, row by row."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiops.domain.quality import ROW_FLAGS, flag_bit, flags_of
from aiops.series.kernels import intake, quality
from aiops.series.kernels.quality import k_quality_note
from aiops.series.quality import QualityState
from tests.naive.series import naive_quality_note

T0_MS = 1_700_000_000_000
STEP_MS = 15_000
FATES = {
    "kept": quality.KEPT,
    "unknown": quality.UNKNOWN,
    "duplicate": quality.DUPLICATE,
    "out_of_order": quality.OUT_OF_ORDER,
    "conflict": quality.CONFLICT,
    "stale": quality.STALE,
    "reset": quality.RESET,
}
WINDOW_ROWS = 4

steps_ms = st.sampled_from([1, 15_000, 30_000, 60_000, 120_000, 3_600_000])
rows_of_arrival = st.lists(
    st.tuples(st.integers(0, 2), steps_ms, st.sampled_from(sorted(FATES))), max_size=8
)
arrivals = st.lists(
    st.tuples(rows_of_arrival, st.sampled_from([0, 1000, 15_000, 3_600_000]), steps_ms), max_size=12
)


def fresh(n_slots: int):
    """seen_ms, last_ms, windows, rhythms of slots nobody knows."""
    return (
        np.zeros(n_slots, np.int64),
        np.zeros(n_slots, np.int64),
        np.zeros(n_slots, np.uint64),
        np.zeros((n_slots, 2), np.float32),
    )


def note(state, rows, now_ms):
    """rows: [(slot, ts, name of fate)]; returns [(own flags, window)] of kept rows, and counts."""
    words, counts = np.zeros(len(rows), np.uint64), np.zeros(quality.COUNTS_SIZE, np.int64)
    slots, ts_ms, fates = zip(*rows, strict=True) if rows else ((), (), ())
    k_quality_note(
        np.array(slots, np.uint64),
        np.array(ts_ms, np.int64),
        np.array([FATES[fate] for fate in fates], np.uint8),
        now_ms,
        WINDOW_ROWS,
        *state,
        words,
        counts,
    )
    n_kept = sum(fate in ("kept", "stale", "reset") for fate in fates)
    bytes_of = [((word >> 48) & 255, word >> 56) for word in words[:n_kept].tolist()]
    return [(set(flags_of(own)), set(flags_of(seen))) for own, seen in bytes_of], counts.tolist()


def steady(state, n: int = 30, *, lag_ms: int = 0) -> int:
    """Feed slot 0 one row every 15 s; return the time of the next."""
    for k in range(n):
        at_ms = T0_MS + k * STEP_MS
        (told,), _ = note(state, [(0, at_ms, "kept")], at_ms + lag_ms)
        assert told == (set(), set())
    return T0_MS + n * STEP_MS


@given(arrivals)
@settings(max_examples=300, derandomize=True)
def test_the_kernel_equals_its_plain_twin(told_arrivals):
    state, known = fresh(3), {}
    clock_ms = dict.fromkeys(range(3), T0_MS)
    now_ms = T0_MS
    for rows, lag_ms, pause_ms in told_arrivals:
        now_ms += pause_ms
        dated = []
        for slot, step_ms, fate in rows:
            clock_ms[slot] += step_ms
            dated.append((slot, clock_ms[slot], fate))
        at_ms = max(now_ms, *clock_ms.values()) + lag_ms
        kept, counts = note(state, dated, at_ms)
        wanted, odd = naive_quality_note(known, dated, at_ms, WINDOW_ROWS)
        assert kept == wanted
        assert counts == [odd["gap"], odd["late"], odd["backfill"]]


def test_fates_and_flags_have_the_numbers_of_their_neighbours():
    theirs = (intake.N_UNKNOWN, intake.N_DUPLICATE, intake.N_OUT_OF_ORDER, intake.N_CONFLICT)
    assert theirs == (quality.UNKNOWN, quality.DUPLICATE, quality.OUT_OF_ORDER, quality.CONFLICT)
    assert (quality.KEPT, quality.STALE, quality.RESET) == (
        intake.N_KEPT,
        intake.N_STALE,
        intake.N_RESET,
    )
    bits = [quality.FLAG_GAP, quality.FLAG_LATE, quality.FLAG_RESET, quality.FLAG_DUPLICATE]
    bits += [quality.FLAG_CONFLICT, quality.FLAG_OUT_OF_ORDER, quality.FLAG_STALE]
    bits += [quality.FLAG_BACKFILL]
    assert bits == [flag_bit(flag) for flag in ROW_FLAGS]


def test_a_steady_series_has_no_flags_whatever_its_lag():
    steady(fresh(1))
    steady(fresh(1), lag_ms=600_000)


def test_missing_samples_are_a_gap_of_the_row_after_them_and_in_its_window_for_a_while():
    state = fresh(1)
    next_ms = steady(state) + 4 * STEP_MS
    told = [
        note(state, [(0, next_ms + k * STEP_MS, "kept")], next_ms + k * STEP_MS)[0][0]
        for k in range(WINDOW_ROWS + 1)
    ]
    assert [own for own, _ in told] == [{"gap"}] + [set()] * WINDOW_ROWS
    assert [window for _, window in told] == [{"gap"}] * WINDOW_ROWS + [set()]


def test_two_missed_scrapes_are_no_gap():
    state = fresh(1)
    next_ms = steady(state) + 2 * STEP_MS
    assert note(state, [(0, next_ms, "kept")], next_ms)[0] == [(set(), set())]


def test_a_backlog_is_late_and_all_after_its_first_row_back_filled():
    state = fresh(1)
    next_ms = steady(state)
    rows = [(0, next_ms + k * STEP_MS, "kept") for k in range(40)]
    told, counts = note(state, rows, next_ms + 40 * STEP_MS)
    assert told[0][0] == {"late"}
    assert [own for own, _ in told[1:5]] == [{"late", "backfill"}] * 4
    assert told[-1][0] == set()  # little later than usual
    assert counts[quality.N_LATE] == counts[quality.N_BACKFILL] + 1 > 30


def test_a_lag_that_begins_and_stays_is_late_but_never_back_filled():
    state = fresh(1)
    next_ms = steady(state)
    for k in range(20):
        at_ms = next_ms + k * STEP_MS
        (told,), _ = note(state, [(0, at_ms, "kept")], at_ms + 600_000)
        assert told[0] == {"late"}


@pytest.mark.parametrize("fate", ["duplicate", "conflict", "out_of_order"])
def test_a_row_left_out_shows_in_the_window_of_the_next(fate):
    state = fresh(1)
    next_ms = steady(state)
    told, _ = note(state, [(0, next_ms, fate), (0, next_ms, "kept")], next_ms)
    assert told == [(set(), {fate})]


def test_a_series_that_begins_again_after_its_end_is_told_so_once():
    state = fresh(1)
    next_ms = steady(state)
    rows = [(0, next_ms + k * STEP_MS, fate) for k, fate in enumerate(["stale", "kept", "kept"])]
    told, _ = note(state, rows, next_ms)
    assert [own for own, _ in told] == [set(), {"stale"}, set()]


def test_flags_of_different_kinds_leave_the_window_each_in_its_time():
    state = fresh(1)
    next_ms = steady(state)
    fates = ["reset", "kept", "duplicate", "kept", "kept", "kept", "kept", "kept"]
    windows = [
        window
        for k, fate in enumerate(fates)
        for _, window in note(state, [(0, next_ms + k * STEP_MS, fate)], next_ms + k * STEP_MS)[0]
    ]
    assert windows[:2] == [{"reset"}] * 2
    assert windows[2:4] == [{"reset", "duplicate"}] * 2
    assert windows[4:] == [{"duplicate"}, set(), set()]


def state_of(last_rows_ms, *, interval_ms: int = STEP_MS) -> QualityState:
    """Slots that sent every `interval_ms` until their last row."""
    known = QualityState(WINDOW_ROWS, len(last_rows_ms))
    seen_ms = np.zeros(len(last_rows_ms), np.int64)
    for slot, last_ms in enumerate(last_rows_ms):
        ts_ms = last_ms + interval_ms * np.arange(-9, 1)
        slots, fates = np.full(10, slot, np.uint64), np.zeros(10, np.uint8)
        known.note((slots, ts_ms, fates), last_ms, seen_ms, np.zeros(10, np.uint64))
    return known


@pytest.mark.parametrize(
    ("n_silent", "silent_ms", "is_partial"),
    [
        (0, 0, False),
        (1, 10 * STEP_MS, False),
        (2, 10 * STEP_MS, True),
        (2, 3 * STEP_MS, False),
        (9, 10 * STEP_MS, True),
        (9, 41 * STEP_MS, False),
    ],
)
def test_a_source_is_partial_when_a_fifth_of_its_series_fell_silent_just_now(
    n_silent, silent_ms, is_partial
):
    known = state_of([T0_MS - silent_ms] * n_silent + [T0_MS] * (10 - n_silent))
    assert known.is_partial(range(10)) is is_partial


def test_a_source_of_few_series_is_never_partial():
    assert not state_of([T0_MS - 10 * STEP_MS, T0_MS, T0_MS, T0_MS]).is_partial(range(4))


def test_a_slow_series_is_not_silent_between_its_samples():
    known = state_of([T0_MS - 50_000] * 5, interval_ms=60_000)
    known.grow(10)
    assert not known.is_partial(range(10))


def test_a_restored_state_goes_on_as_if_it_had_never_been_saved():
    rows = (np.zeros(3, np.uint64), T0_MS + 60_000 + 15_000 * np.arange(3), np.zeros(3, np.uint8))
    words = []
    for is_saved in (False, True):
        known = state_of([T0_MS])
        if is_saved:
            saved = {name: array.copy() for name, array in known.state(1).items()}
            known = QualityState(WINDOW_ROWS, 1)
            known.restore(saved, 1)
        out = np.zeros(3, np.uint64)
        known.note(rows, T0_MS + 100_000, np.full(1, T0_MS), out)
        words.append(out.tolist())
    assert words[0] == words[1]
    assert words[0][0] >> 48 & 255 == quality.FLAG_GAP


def test_a_snapshot_of_a_release_that_noted_nothing_begins_anew():
    known = QualityState(WINDOW_ROWS, 2)
    known.restore({}, 2)
    assert not known.state(2)["quality.last_ms"].any()


def test_a_slot_that_was_reset_is_unknown():
    known = state_of([T0_MS, T0_MS])
    known.reset(np.array([0], np.int32))
    assert known.state(2)["quality.last_ms"].tolist() == [0, T0_MS]
    assert known.state(2)["quality.rhythms"][0].tolist() == [0.0, 0.0]
