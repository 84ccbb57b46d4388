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
    fell_ms: int = 0
    newborn_ms: int = 0
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
    replaced_s: float = 900.0
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
        was_away = one.phase != LIVE_PHASE or one.is_silent
        if is_new and was_away and one.group >= 0 and groups[one.group].is_watched:
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
        group.heard_ms = group.ended_ms = group.fell_ms = 0
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


def naive_absence_fall(
    series: dict[int, NaiveAbsenceSeries],
    groups: list[NaiveAbsenceGroup],
    rules: NaiveAbsenceRules,
    now_ms: int,
    listen_ms: int,
) -> list[int]:
    """Returns the slots that are newly silent by our own clock."""
    fell = []
    for slot, one in sorted(series.items()):
        if one.group < 0 or one.heard_ms == 0 or one.kind == IGNORED_KIND:
            continue
        patience_ms = patience_s(one, rules) * 1000
        is_silent = now_ms - max(one.heard_ms, listen_ms) > patience_ms
        if one.phase != LIVE_PHASE or not is_silent:
            continue
        if not one.is_silent:
            one.is_silent = True
            fell.append(slot)
        if is_regular(one, rules):
            for number in chain(groups, one.group):
                if silence_above(groups, number, one, (now_ms, listen_ms)) > patience_ms:
                    groups[number].fell_ms = max(groups[number].fell_ms, one.heard_ms)
    return fell


def naive_absence_judge(
    series: dict[int, NaiveAbsenceSeries],
    groups: list[NaiveAbsenceGroup],
    rules: NaiveAbsenceRules,
    now_ms: int,
    listen_ms: int,
) -> list[int]:
    """Returns the slots overdue or late by their own group's clock."""
    own = []
    for slot, one in sorted(series.items()):
        is_counted = one.group >= 0 and one.heard_ms > 0 and one.kind != IGNORED_KIND
        if not is_counted or not is_regular(one, rules):
            continue
        if one.phase == LIVE_PHASE and judge_member(groups[one.group], one, rules, now_ms):
            own.append(slot)
        for number in chain(groups, one.group):
            if one.phase == LIVE_PHASE:
                judge_for(groups, number, one, rules, (now_ms, listen_ms))
            elif one.heard_ms >= groups[number].ended_ms - 1000 * rules.together_s:
                groups[number].count("together")
    return own


def judge_member(
    leaf: NaiveAbsenceGroup,
    one: NaiveAbsenceSeries,
    rules: NaiveAbsenceRules,
    now_ms: int,
) -> bool:
    """Count a series in its own group; tell whether it is absent or late by itself."""
    patience_ms = patience_s(one, rules) * 1000
    is_late = lateness_ms(one, rules, now_ms) > patience_ms
    is_replaced = leaf.newborn_ms >= one.heard_ms - 1000 * rules.replaced_s
    silence_ms = 0 if is_replaced else leaf.heard_ms - max(one.heard_ms, leaf.resumed_ms)
    if 2 * silence_ms > patience_ms or is_late:
        leaf.count("falling")
    if silence_ms > patience_ms or is_late:
        leaf.count("own")
        return True
    return False


def judge_for(
    groups: list[NaiveAbsenceGroup],
    number: int,
    one: NaiveAbsenceSeries,
    rules: NaiveAbsenceRules,
    clock: tuple[int, int],
) -> None:
    """Count a live series in one of the groups above it."""
    patience_ms = patience_s(one, rules) * 1000
    late_ms = lateness_ms(one, rules, clock[0])
    if late_ms > patience_ms:
        groups[number].count("late")
        groups[number].count("late_s", (one.heard_ms - one.last_ts_ms) // 1000)
    if late_ms > patience_ms / 2:
        groups[number].count("latish")
    if silence_above(groups, number, one, clock) > patience_ms:
        span_ms = 1000 * (rules.together_s + one.high)
        is_past = one.heard_ms < groups[number].fell_ms - span_ms
        groups[number].count("past" if is_past else "overdue")


def silence_above(
    groups: list[NaiveAbsenceGroup], number: int, one: NaiveAbsenceSeries, clock: tuple[int, int]
) -> int:
    """How long a series is silent by the clock of the group above one."""
    clock_ms, from_ms = clock
    if groups[number].parent >= 0:
        above = groups[groups[number].parent]
        clock_ms, from_ms = above.heard_ms, above.resumed_ms
    return clock_ms - max(one.heard_ms, from_ms)


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


def lateness_ms(one: NaiveAbsenceSeries, rules: NaiveAbsenceRules, now_ms: int) -> float:
    if now_ms < rules.late_from_ms or now_ms - one.heard_ms > patience_s(one, rules) * 1000:
        return 0
    return (one.heard_ms - one.last_ts_ms) - 1000 * one.lag
