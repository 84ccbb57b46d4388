"""Plain twins of the absence kernels: one series and one group at a time, figures repeated."""

from dataclasses import dataclass, field

import numpy as np

STALE_PHASE, LIVE_PHASE, IGNORED_KIND = 2, 1, 2
NEVER_MS = 2**62


def single(value: float) -> float:
    """Round to what a float32 column keeps."""
    return float(np.float32(value))


@dataclass
class NaiveAbsenceSeries:
    """One series: what is learnt, and what intake knows of it."""

    group: int = 0
    heard_ms: int = 0
    typical: float = 0.0
    high: float = 0.0
    newest: float = 0.0
    lag: float = 0.0
    n_gaps: int = 0
    is_absent: bool = False
    is_silent: bool = False
    has_returned: bool = False
    last_ts_ms: int = 0
    kind: int = 0
    phase: int = 0


@dataclass
class NaiveAbsenceGroup:
    """One group: its parent, whether an absence is open on the way up, and counts."""

    parent: int = -1
    is_watched: bool = False
    first_ms: int = 0
    resumed_ms: int = 0
    heard_ms: int = 0
    ended_ms: int = 0
    pace_ms: int = NEVER_MS
    typical_ms: int = NEVER_MS
    counts: dict[str, int] = field(default_factory=dict)

    def count(self, name: str, n: int = 1) -> None:
        self.counts[name] = self.counts.get(name, 0) + n


@dataclass
class NaiveAbsenceRules:
    """The rules, in seconds where they are spans."""

    floor_s: float = 120.0
    factor: float = 4.0
    min_gaps: int = 20
    together_s: float = 120.0
    late_from_ms: int = 0


def learn_gap(series: NaiveAbsenceSeries, gap: float, lag: float) -> None:
    before, series.newest = series.newest, single(gap)
    if series.n_gaps == 0:
        series.typical, series.high, series.lag = single(gap), single(gap), single(lag)
        return
    typical, high = series.typical, series.high
    rate = max(0.02, 0.5 / (series.n_gaps + 1))
    if gap > typical:
        typical = min(gap, typical * (1 + rate))
    elif gap < typical:
        typical = max(gap, typical / (1 + rate))
    if gap > high:
        high = min(gap, high * 1.25)
    else:
        high = high * (1 - 0.005)
    high = max(high, min(gap, before), typical)
    if lag > series.lag:
        step = min(lag - series.lag, 0.05 * max(high, 1.0))
    else:
        step = 0.1 * (lag - series.lag)
    series.lag = single(series.lag + step)
    series.typical, series.high = single(typical), single(high)


def naive_absence_hear(
    series: dict[int, NaiveAbsenceSeries],
    groups: list[NaiveAbsenceGroup],
    rows: list[tuple[int, int]],
    now_ms: int,
) -> list[tuple[int, int]]:
    """rows: (slot, time); a slot that is not in `series` is unknown. Returns who came back."""
    returned = []
    for slot, ts_ms in rows:
        if slot not in series:
            continue
        one = series[slot]
        is_new = ts_ms > one.last_ts_ms
        if is_new and one.is_absent and not one.has_returned:
            one.has_returned = True
            returned.append((slot, ts_ms))
        if is_new and (one.phase != LIVE_PHASE or one.is_silent) and one.group >= 0:
            if groups[one.group].is_watched:
                for group in chain(groups, one.group):
                    earliest = groups[group].first_ms or ts_ms
                    groups[group].first_ms = min(earliest, ts_ms)
        if one.heard_ms == now_ms:
            continue
        before_ms, one.heard_ms = one.heard_ms, now_ms
        one.is_silent = False
        if one.phase != LIVE_PHASE or before_ms == 0:
            one.newest = 0.0
        elif is_new:
            gap = max(now_ms - before_ms, ts_ms - one.last_ts_ms) / 1000
            learn_gap(one, gap, (before_ms - one.last_ts_ms) / 1000)
            one.n_gaps = min(one.n_gaps + 1, 250)
    return returned


def naive_absence_count(
    series: dict[int, NaiveAbsenceSeries],
    groups: list[NaiveAbsenceGroup],
    rules: NaiveAbsenceRules,
) -> None:
    for group in groups:
        group.heard_ms = group.ended_ms = 0
        group.pace_ms = group.typical_ms = NEVER_MS
        group.counts = {}
    for one in series.values():
        if one.group < 0 or one.heard_ms == 0:
            continue
        counts = is_regular(one, rules) and one.kind != IGNORED_KIND
        for number in chain(groups, one.group):
            group = groups[number]
            group.heard_ms = max(group.heard_ms, one.heard_ms)
            if counts and one.phase == STALE_PHASE:
                group.ended_ms = max(group.ended_ms, one.heard_ms)
            if counts and one.phase in (LIVE_PHASE, STALE_PHASE):
                group.typical_ms = min(group.typical_ms, int(1000 * one.typical))
            if counts and one.phase == LIVE_PHASE:
                group.count("due")
                group.pace_ms = min(group.pace_ms, int(1000 * one.high))


def naive_absence_judge(
    series: dict[int, NaiveAbsenceSeries],
    groups: list[NaiveAbsenceGroup],
    rules: NaiveAbsenceRules,
    now_ms: int,
    listen_ms: int,
) -> tuple[list[int], list[int]]:
    """Returns the slots overdue or late by their own group's clock, and those newly silent."""
    own, fell = [], []
    for slot, one in sorted(series.items()):
        if one.group < 0 or one.heard_ms == 0 or one.kind == IGNORED_KIND:
            continue
        patience_ms = patience_s(one, rules) * 1000
        is_live = one.phase == LIVE_PHASE
        if is_live and not one.is_silent:
            if now_ms - max(one.heard_ms, listen_ms) > patience_ms:
                one.is_silent = True
                fell.append(slot)
        if not is_regular(one, rules):
            continue
        is_late = False
        if is_live:
            is_late = naive_is_late(one, rules, now_ms, patience_ms)
            leaf = groups[one.group]
            silence_ms = leaf.heard_ms - max(one.heard_ms, leaf.resumed_ms)
            if silence_ms > patience_ms or is_late:
                own.append(slot)
                leaf.count("own")
            if 2 * silence_ms > patience_ms or is_late:
                leaf.count("falling")
        for number in chain(groups, one.group):
            group = groups[number]
            if is_live:
                clock_ms, from_ms = now_ms, listen_ms
                if group.parent >= 0:
                    above = groups[group.parent]
                    clock_ms, from_ms = above.heard_ms, above.resumed_ms
                if clock_ms - max(one.heard_ms, from_ms) > patience_ms:
                    group.count("overdue")
                if is_late:
                    group.count("late")
                    group.count("late_s", (one.heard_ms - one.last_ts_ms) // 1000)
            elif one.heard_ms >= group.ended_ms - 1000 * rules.together_s:
                group.count("together")
    return own, fell


def chain(groups: list[NaiveAbsenceGroup], group: int) -> list[int]:
    found = []
    while group >= 0:
        found.append(group)
        group = groups[group].parent
    return found


def is_regular(one: NaiveAbsenceSeries, rules: NaiveAbsenceRules) -> bool:
    return one.n_gaps >= rules.min_gaps and one.high <= 3 * one.typical


def patience_s(one: NaiveAbsenceSeries, rules: NaiveAbsenceRules) -> float:
    floors = 1 if is_regular(one, rules) else 5
    return max(floors * rules.floor_s, rules.factor * one.high)


def naive_is_late(
    one: NaiveAbsenceSeries, rules: NaiveAbsenceRules, now_ms: int, patience_ms: float
) -> bool:
    if now_ms < rules.late_from_ms or now_ms - one.heard_ms > patience_ms:
        return False
    return (one.heard_ms - one.last_ts_ms) - 1000 * one.lag > patience_ms
