"""Every absence kernel against its plain twin, on seeded and on hostile arrivals.

k_absence_hear, k_absence_count, k_absence_fall and k_absence_judge run through the columns. The
same file is run once more with the compiler switched off.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from aiops.config import AbsenceConfig
from aiops.detect.absence_groups import AbsenceGroups
from aiops.detect.absence_slots import AbsenceSlots
from aiops.detect.kernels import absence as layout
from aiops.domain.labels import labels_from
from aiops.series.kernels import intake
from tests.naive.absence import (
    NEVER_MS,
    NaiveAbsenceGroup,
    NaiveAbsenceRules,
    NaiveAbsenceSeries,
    naive_absence_count,
    naive_absence_fall,
    naive_absence_hear,
    naive_absence_judge,
)

IS_COMPILED = os.environ.get("NUMBA_DISABLE_JIT", "0") == "0"
T0_MS = 1_700_000_000_000
ROOT = Path(__file__).parents[3]
COUNTS = {
    "due": layout.DUE,
    "overdue": layout.OVERDUE,
    "late": layout.LATE,
    "late_s": layout.LATE_S,
    "latish": layout.LATISH,
    "past": layout.PAST,
    "together": layout.TOGETHER,
    "own": layout.OWN,
    "falling": layout.FALLING,
}


class Pair:
    """Columns and their twins over the same slots, groups and track."""

    def __init__(self, n_slots: int, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.now_ms = T0_MS
        self.slots = AbsenceSlots(AbsenceConfig(min_gaps=5), n_slots)
        self.track = np.zeros((n_slots, 4), np.int64)
        self.groups = AbsenceGroups(("job", "instance"))
        self.rules = NaiveAbsenceRules(min_gaps=5)
        self.series: dict[int, NaiveAbsenceSeries] = {}
        self.moods: dict[int, str] = {}
        self.seen: set[str] = set()
        for slot in range(n_slots):
            labels = labels_from({"job": f"j{slot % 3}", "instance": f"i{slot % 7}"})
            if slot % 11:  # some stay free
                self.slots.groups_of[slot] = self.groups.join(labels, T0_MS)
                self.series[slot] = NaiveAbsenceSeries(int(self.slots.groups_of[slot]))
        parents = self.groups.parents[: self.groups.n_rows].tolist()
        self.naive_groups = [NaiveAbsenceGroup(parent) for parent in parents]

    def set_marks(self) -> None:
        """Let some absences be open, of series and of groups, and pick new pauses."""
        for slot, one in self.series.items():
            if one.is_silent and not one.is_absent and self.rng.random() < 0.5:
                one.is_absent = True
                self.slots.phases[slot] |= layout.OPEN
        for number, group in enumerate(self.naive_groups):
            group.is_watched = bool(self.rng.random() < 0.3)
            group.first_ms = 0
            self.groups.watched[number] = group.is_watched
            self.groups.first_ms[number] = 0
            if self.rng.random() < 0.1:
                self.groups.newborn_ms[number] = self.now_ms

    def hear(self, rows: list[tuple[int, int]]) -> None:
        """Let rows arrive; what intake would do to `track` is done afterwards, to both."""
        slot_values = np.array([slot for slot, _ in rows], np.uint64)
        ts_ms = np.array([ts for _, ts in rows], np.int64)
        told = self.slots.hear((slot_values, ts_ms), self.now_ms, self.track, self.groups)
        # free slots are no series: nothing is announced there
        assert told == naive_absence_hear(self.series, self.naive_groups, rows, self.now_ms)
        self.seen |= {"returned"} if told else set()
        for slot, _ in told:
            one = self.series[slot]
            one.is_absent = one.has_returned = False
        for slot, ts in rows:
            if slot in self.series and ts > self.track[slot, intake.LAST_TS]:
                phase = intake.STALE if self.rng.random() < 0.02 else intake.LIVE
                self.track[slot, [intake.LAST_TS, intake.PHASE]] = ts, phase
                self.series[slot].last_ts_ms, self.series[slot].phase = ts, phase

    def compare(self, listen_ms: int, late_from_ms: int) -> None:
        """Walk both and compare everything they know."""
        clock = (self.now_ms, listen_ms)
        look = self.slots.look(clock, late_from_ms, self.track, self.groups)
        self.rules.late_from_ms = late_from_ms
        naive_absence_count(self.series, self.naive_groups, self.rules)
        for number, group in enumerate(self.naive_groups):
            group.resumed_ms = int(self.groups.resumed_ms[number])
            group.newborn_ms = int(self.groups.newborn_ms[number])
        twins = (self.series, self.naive_groups, self.rules, self.now_ms, listen_ms)
        assert look.fell.tolist() == naive_absence_fall(*twins)
        assert look.own.tolist() == naive_absence_judge(*twins)
        for number, group in enumerate(self.naive_groups):
            times = [group.heard_ms, group.ended_ms, group.pace_ms, group.typical_ms]
            assert look.times[number].tolist() == [*times, group.fell_ms]
            counts = {name: int(look.tally[number, column]) for name, column in COUNTS.items()}
            assert counts == dict.fromkeys(COUNTS, 0) | group.counts
            self.seen |= {name for name, n in counts.items() if n}
            assert self.groups.first_ms[number] == group.first_ms
        for slot, one in self.series.items():
            learnt = [one.typical, one.high, one.newest, one.lag]
            assert self.slots.gaps[slot].tolist() == learnt
            assert self.slots.n_gaps[slot] == one.n_gaps
            assert self.slots.heard_ms[slot] == one.heard_ms
            assert bool(self.slots.phases[slot] & layout.SILENT) == one.is_silent


def sent(pair: Pair, pause_s: float) -> list[tuple[int, int]]:
    """Rows of the slots as senders make them: in bursts, twice, late, not at all, from nowhere."""
    rng = pair.rng
    rows = []
    for slot in pair.series:
        mood = pair.moods.get(slot, "well")
        if rng.random() < 0.02:
            mood = pair.moods[slot] = str(rng.choice(["well", "mute", "behind"], p=[0.6, 0.2, 0.2]))
        fate = rng.random()
        if mood == "mute" or fate < 0.02:
            continue
        at_ms = pair.now_ms - int(rng.integers(0, 300)) - 400_000 * (mood == "behind")
        if fate < 0.04:
            rows += [(slot, at_ms - 2000), (slot, at_ms - 1000)]
        if fate < 0.06:
            at_ms -= int(1000 * pause_s * 20)
        if fate < 0.1:
            rows.append((slot, at_ms))
        rows.append((slot, at_ms))
    rows.append((2**63, pair.now_ms))
    return rows


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_gaps_counts_and_verdicts_are_those_of_the_twins(seed):
    pair = Pair(60, seed)
    late_from_ms = 0
    for round_ in range(150 if IS_COMPILED else 60):
        pause_s = float(pair.rng.choice([1.0, 15.0, 60.0, 700.0], p=[0.02, 0.94, 0.02, 0.02]))
        pair.now_ms += int(1000 * pause_s)
        if pair.rng.random() < 0.9:
            rows = sent(pair, pause_s)
            half = len(rows) // 2
            pair.hear(rows[:half])  # one arrival may come in several batches
            pair.hear(rows[half:])
        if round_ % 3 == 0:
            listen_ms = pair.now_ms - int(pair.rng.choice([0, 60_000, 10**8]))
            late_from_ms = pair.now_ms + int(pair.rng.choice([-1, 0, 1]))
            pair.compare(listen_ms, late_from_ms)
            pair.set_marks()
    if IS_COMPILED:
        assert pair.seen == {*COUNTS, "returned"}


def test_an_empty_batch_and_an_empty_table_are_taken():
    pair = Pair(0, 1)
    pair.hear([])
    pair.compare(T0_MS, 0)


def test_a_group_that_nobody_is_due_in_has_no_pace():
    pair = Pair(2, 1)
    look = pair.slots.look((T0_MS, T0_MS), 0, pair.track, pair.groups)
    assert look.times[0].tolist() == [0, 0, NEVER_MS, NEVER_MS, 0]


def test_the_columns_of_intake_are_where_the_kernels_look():
    names = ("LAST_TS", "LAST_BITS", "KIND", "IGNORED", "LIVE")
    assert [getattr(layout, name) for name in names] == [getattr(intake, name) for name in names]
    assert (layout.TRACK_PHASE, layout.ENDED) == (intake.PHASE, intake.STALE)


@pytest.mark.skipif(not IS_COMPILED, reason="is that run")
def test_the_twins_agree_without_the_compiler_too():
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__]
    run = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout[-3000:]
