"""Cases of the kernels that watch for absence."""

import numpy as np

from aiops.config import AbsenceConfig
from aiops.detect.absence_groups import AbsenceGroups
from aiops.detect.absence_slots import AbsenceSlots
from aiops.domain.labels import labels_from
from aiops.domain.samples import I64, U64
from aiops.series.kernels import intake
from benchmarks.kernel_cases import START_MS, STEP_MS, Case
from tests.naive.absence import (
    NaiveAbsenceGroup,
    NaiveAbsenceRules,
    NaiveAbsenceSeries,
    naive_absence_count,
    naive_absence_fall,
    naive_absence_hear,
    naive_absence_judge,
)

PER_INSTANCE = 200
PER_JOB = 20
WARM_ROUNDS = 30
"""Past the 20 gaps after which a series counts."""
SILENT_RATIO = 0.01


class Fleet:
    """A fleet that reports every `STEP_MS`, all series but a hundredth; old enough to count."""

    def __init__(self, n_slots: int) -> None:
        self.slots = AbsenceSlots(AbsenceConfig(), n_slots)
        self.groups = AbsenceGroups(("job", "instance"))
        self.track = np.zeros((n_slots, 4), np.int64)
        self.slot_values: U64 = np.arange(n_slots, dtype=np.uint64)
        self.now_ms = START_MS
        instances = np.arange(n_slots) // PER_INSTANCE
        for slot, instance in enumerate(instances.tolist()):
            pairs = {"job": f"j{instance // PER_JOB}", "instance": f"i{instance}"}
            self.slots.groups_of[slot] = self.groups.join(labels_from(pairs), START_MS)
        for _ in range(WARM_ROUNDS):
            self.hear()
        n_silent = int(n_slots * SILENT_RATIO)
        self.slot_values = self.slot_values[: n_slots - n_silent]

    def hear(self) -> None:
        """Let one sample of every series that still reports arrive."""
        self.now_ms += STEP_MS
        ts_ms: I64 = np.full(len(self.slot_values), self.now_ms)
        self.slots.hear((self.slot_values, ts_ms), self.now_ms, self.track, self.groups)
        self.track[self.slot_values, intake.LAST_TS] = self.now_ms
        self.track[self.slot_values, intake.PHASE] = intake.LIVE

    def look(self) -> None:
        """Walk over all slots, as every few seconds."""
        self.slots.look((self.now_ms, START_MS), 0, self.track, self.groups)


def absence_hear(n_slots: int) -> Case:
    """k_absence_hear: one sample of every slot, in slot order."""
    fleet = Fleet(n_slots)
    return Case(n_slots, fleet.hear, are_twins_right)


def absence_look(n_slots: int) -> Case:
    """k_absence_count, k_absence_fall and k_absence_judge: every slot once."""
    fleet = Fleet(n_slots)
    for _ in range(WARM_ROUNDS):
        fleet.hear()
    return Case(n_slots, fleet.look, are_twins_right)


def are_twins_right() -> bool:
    """Tell whether a few slots are learnt and judged as their twins are."""
    fleet = Fleet(100)
    groups = [NaiveAbsenceGroup(parent) for parent in fleet.groups.parents.tolist() if parent > -2]
    series = {slot: NaiveAbsenceSeries(int(fleet.slots.groups_of[slot])) for slot in range(100)}
    for k in range(1, 2 * WARM_ROUNDS + 1):
        now_ms = START_MS + k * STEP_MS
        n_sent = 100 if k <= WARM_ROUNDS else 99
        naive_absence_hear(series, groups, [(slot, now_ms) for slot in range(n_sent)], now_ms)
        for slot in range(n_sent):
            series[slot].last_ts_ms, series[slot].phase = now_ms, intake.LIVE
    for _ in range(WARM_ROUNDS):
        fleet.hear()
    look = fleet.slots.look((fleet.now_ms, START_MS), 0, fleet.track, fleet.groups)
    for number, group in enumerate(groups):
        group.newborn_ms = int(fleet.groups.newborn_ms[number])
    rules = NaiveAbsenceRules()
    naive_absence_count(series, groups, rules)
    naive_absence_fall(series, groups, rules, fleet.now_ms, START_MS)
    own = naive_absence_judge(series, groups, rules, fleet.now_ms, START_MS)
    learnt = [(one.typical, one.high, one.newest, one.lag) for one in series.values()]
    return look.own.tolist() == own and fleet.slots.gaps.tolist() == [list(row) for row in learnt]
