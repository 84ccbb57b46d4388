"""Kernels of absence: what gaps a series keeps, and who is overdue by whose clock.

`k_absence_hear` learns from rows as they arrive; `k_absence_count`, `k_absence_fall` and
`k_absence_judge` walk all slots now and then, in this order. A group is a row of small arrays;
`parents` leads from each to the next larger one, the root (every series) has parent -1.
"""

import numpy as np

from aiops.detect.columns import F32, U8, U64
from aiops.detect.kernels.compile import helper, kernel
from aiops.domain.samples import F64, I32, I64

# Columns of intake's `track` array and what stands there; a test holds them equal.
LAST_TS, LAST_BITS, KIND, TRACK_PHASE = range(4)
IGNORED = 2
LIVE, ENDED = 1, 2

# gaps: running median and high quantile, the newest one, running lag of arrival; all in s
TYPICAL, HIGH, LAST, LAG = range(4)
GAPS_SIZE = 4
N_GAPS_MAX = 250

# phases of a slot, as bits
OPEN = 1  # an absence of this very series is open
SILENT = 2  # nothing came for so long that its other anomalies were closed
RETURNED = 4  # it came back, and the end of its absence is being told

# rules: a member falls silent together with others within TOGETHER_MS; REPLACED_MS before and any
# time after that a newcomer takes its place
FLOOR_MS, FACTOR, MIN_GAPS, TOGETHER_MS, REPLACED_MS, LATE_FROM_MS = range(6)
RULES_SIZE = 6

# times of a group: newest arrival, newest marker, smallest high gap of those due, smallest typical
# gap of these and of those that ended, newest arrival of those overdue
HEARD_MS, ENDED_MS, PACE_MS, TYPICAL_MS, FELL_MS = range(5)
TIMES_SIZE = 5
# tally of a group: series due, of these overdue by the clock of the next larger group (fallen
# together, or longer ago), late (with lateness summed up in s), half-way to that; ended together;
# overdue by the group's own clock (direct members only), and half-way to that
DUE, OVERDUE, PAST, LATE, LATE_S, LATISH, TOGETHER, OWN, FALLING = range(9)
TALLY_SIZE = 9

TYPICAL_RATE = 0.02  # chosen: the median then remembers about 50 gaps
HIGH_RISE = 0.25  # chosen: one odd gap moves the high quantile by no more than a quarter
HIGH_FALL = 0.005  # follows: rise and fall balance where 2.2 % of the gaps lie beyond
REGULAR_RATIO_MAX = 3.0  # chosen: one or two scrapes missed now and then are still a rhythm
IRREGULAR_FLOORS = 5.0  # chosen: patience, in floors, with a series that keeps no rhythm
LAG_RISE = 0.05  # chosen: in gaps; a delay of ten minutes at 15 s is the new normal after 3 h
LAG_FALL = 0.1  # chosen: a shorter delay is learnt in ten gaps
NEVER_MS = 1 << 62


@helper
def _learn(gap: F32, n: int, gap_s: float, lag_s: float) -> None:
    """Take over one gap and the lag of the arrival before it."""
    newest = float(gap[LAST])
    gap[LAST] = gap_s
    if n == 0:
        gap[TYPICAL], gap[HIGH], gap[LAG] = gap_s, gap_s, lag_s
        return
    typical, high, lag = float(gap[TYPICAL]), float(gap[HIGH]), float(gap[LAG])
    rate = max(TYPICAL_RATE, 0.5 / (n + 1.0))
    typical = min(gap_s, typical * (1.0 + rate)) if gap_s > typical else typical
    typical = max(gap_s, typical / (1.0 + rate)) if gap_s < typical else typical
    high = min(gap_s, high * (1.0 + HIGH_RISE)) if gap_s > high else high * (1.0 - HIGH_FALL)
    # what came twice in a row is a new rhythm and no accident
    high = max(high, min(gap_s, newest), typical)
    rise = min(lag_s - lag, LAG_RISE * max(high, 1.0))
    lag += rise if lag_s > lag else LAG_FALL * (lag_s - lag)
    gap[TYPICAL], gap[HIGH], gap[LAG] = typical, high, lag


@helper
def _is_regular(gap: F32, n: int, rules: F64) -> bool:
    return n >= rules[MIN_GAPS] and float(gap[HIGH]) <= REGULAR_RATIO_MAX * float(gap[TYPICAL])


@helper
def _patience_ms(gap: F32, n: int, rules: F64) -> float:
    """Return how long a series may stay silent."""
    floors = 1.0 if _is_regular(gap, n, rules) else IRREGULAR_FLOORS
    return float(max(floors * rules[FLOOR_MS], rules[FACTOR] * 1000.0 * float(gap[HIGH])))


@helper
def _lateness_ms(
    gap: F32, heard_ms: int, last_ts_ms: int, now_ms: int, patience_ms: float
) -> float:
    """Return how much older rows are than this series is used to, 0 when none come any more."""
    if now_ms - heard_ms > patience_ms:
        return 0.0
    return float(heard_ms - last_ts_ms) - 1000.0 * float(gap[LAG])


@helper
def _silence_ms(
    heard_ms: int, group: int, parents: I32, times: I64, resumed_ms: I64, clock: tuple[int, int]
) -> int:
    """Return how long a member of a group is silent by the clock of the next larger one.

    For the root that clock is ours: now, and since when we listen.
    """
    parent = parents[group]
    if parent < 0:
        return clock[0] - max(heard_ms, clock[1])
    return int(times[parent, HEARD_MS] - max(heard_ms, resumed_ms[parent]))


@kernel(
    "i8(u8[::1],i8[::1],i8,i8[:,::1],i8[::1],f4[:,::1],u1[::1],u1[::1],i4[::1],"
    "i4[::1],u1[::1],i8[::1],i8[:,::1])"
)
def k_absence_hear(
    slot_values: U64,
    ts_ms: I64,
    now_ms: int,
    track: I64,
    heard_ms: I64,
    gaps: F32,
    n_gaps: U8,
    phases: U8,
    groups: I32,
    parents: I32,
    watched: U8,
    first_ms: I64,
    returned: I64,
) -> int:
    """Learn from rows before intake takes them; return how many absent series came back.

    Rows of one slot with one `now_ms` are one arrival. A gap is the longer of that between
    arrivals and that between timestamps: the one a sender in bursts keeps, the other one that
    catches up. Old rows are heard, but nothing is learnt from them. `returned` gets slot and
    time of each series that was absent, `first_ms` of each watched group the oldest new row of
    a member that was away.
    """
    n_returned = 0
    n_slots = np.uint64(len(heard_ms))
    for row in range(len(ts_ms)):
        if slot_values[row] >= n_slots:
            continue
        slot = int(slot_values[row])
        last_ms = track[slot, LAST_TS]
        is_new = ts_ms[row] > last_ms
        if is_new and phases[slot] & (OPEN | RETURNED) == OPEN:
            phases[slot] |= RETURNED
            returned[n_returned, 0] = slot
            returned[n_returned, 1] = ts_ms[row]
            n_returned += 1
        group = groups[slot]
        was_away = track[slot, TRACK_PHASE] != LIVE or phases[slot] & SILENT
        if is_new and was_away and group >= 0 and watched[group]:
            while group >= 0:
                if first_ms[group] == 0 or ts_ms[row] < first_ms[group]:
                    first_ms[group] = ts_ms[row]
                group = parents[group]
        before_ms = heard_ms[slot]
        if before_ms == now_ms:
            continue
        heard_ms[slot] = now_ms
        phases[slot] &= OPEN | RETURNED
        if track[slot, TRACK_PHASE] != LIVE or before_ms == 0:
            gaps[slot, LAST] = 0.0
        elif is_new:
            gap_s = max(now_ms - before_ms, ts_ms[row] - last_ms) / 1000.0
            _learn(gaps[slot], n_gaps[slot], gap_s, (before_ms - last_ms) / 1000.0)
            n_gaps[slot] = min(n_gaps[slot] + 1, N_GAPS_MAX)
    return n_returned


@kernel("void(i8[:,::1],i8[::1],f4[:,::1],u1[::1],i4[::1],i4[::1],f8[::1],i8[:,::1],i8[:,::1])")
def k_absence_count(
    track: I64,
    heard_ms: I64,
    gaps: F32,
    n_gaps: U8,
    groups: I32,
    parents: I32,
    rules: F64,
    times: I64,
    tally: I64,
) -> None:
    """Fill each group's times and number of series due, afresh, from its members.

    Only series that keep a rhythm are due; one that ended by a marker is not any more.
    """
    tally[:] = 0
    times[:] = 0
    times[:, PACE_MS : TYPICAL_MS + 1] = NEVER_MS
    for slot in range(len(groups)):
        group = groups[slot]
        if group < 0 or heard_ms[slot] == 0:
            continue
        is_counted = _is_regular(gaps[slot], n_gaps[slot], rules) and track[slot, KIND] != IGNORED
        is_due = is_counted and track[slot, TRACK_PHASE] == LIVE
        is_ended = is_counted and track[slot, TRACK_PHASE] == ENDED
        while group >= 0:
            times[group, HEARD_MS] = max(times[group, HEARD_MS], heard_ms[slot])
            if is_ended:
                times[group, ENDED_MS] = max(times[group, ENDED_MS], heard_ms[slot])
            if is_due or is_ended:
                typical_ms = int(1000.0 * float(gaps[slot, TYPICAL]))
                times[group, TYPICAL_MS] = min(times[group, TYPICAL_MS], typical_ms)
            if is_due:
                tally[group, DUE] += 1
                high_ms = int(1000.0 * float(gaps[slot, HIGH]))
                times[group, PACE_MS] = min(times[group, PACE_MS], high_ms)
            group = parents[group]


@kernel(
    "i8(i8,i8,i8[:,::1],i8[::1],f4[:,::1],u1[::1],u1[::1],i4[::1],i4[::1],f8[::1],"
    "i8[:,::1],i8[::1],i4[::1])"
)
def k_absence_fall(
    now_ms: int,
    listen_ms: int,
    track: I64,
    heard_ms: I64,
    gaps: F32,
    n_gaps: U8,
    phases: U8,
    groups: I32,
    parents: I32,
    rules: F64,
    times: I64,
    resumed_ms: I64,
    fell: I32,
) -> int:
    """Fill in when the overdue of each group were last heard; return how many are newly silent.

    `fell` gets the slots that are newly silent by our own clock, irregular ones among them.
    """
    n_fell = 0
    clock = (now_ms, listen_ms)
    for slot in range(len(groups)):
        group = groups[slot]
        is_live = track[slot, TRACK_PHASE] == LIVE and track[slot, KIND] != IGNORED
        if group < 0 or heard_ms[slot] == 0 or not is_live:
            continue
        patience_ms = _patience_ms(gaps[slot], n_gaps[slot], rules)
        if now_ms - max(heard_ms[slot], listen_ms) <= patience_ms:
            continue
        if not phases[slot] & SILENT:
            phases[slot] |= SILENT
            fell[n_fell] = slot
            n_fell += 1
        while group >= 0 and _is_regular(gaps[slot], n_gaps[slot], rules):
            silence_ms = _silence_ms(heard_ms[slot], group, parents, times, resumed_ms, clock)
            if silence_ms > patience_ms:
                times[group, FELL_MS] = max(times[group, FELL_MS], heard_ms[slot])
            group = parents[group]
    return n_fell


@kernel(
    "i8(i8,i8,i8[:,::1],i8[::1],f4[:,::1],u1[::1],i4[::1],i4[::1],f8[::1],"
    "i8[:,::1],i8[::1],i8[::1],i8[:,::1],i4[::1])"
)
def k_absence_judge(
    now_ms: int,
    listen_ms: int,
    track: I64,
    heard_ms: I64,
    gaps: F32,
    n_gaps: U8,
    groups: I32,
    parents: I32,
    rules: F64,
    times: I64,
    resumed_ms: I64,
    newborn_ms: I64,
    tally: I64,
    own: I32,
) -> int:
    """Count who is overdue in each group; return how many series are so by themselves.

    Time passes for a member only while the group it belongs to is heard, and again from when that
    group resumed (`resumed_ms`); for the root, while we listen (since `listen_ms`). So when a group
    falls silent its members do not. `own` gets the series that are overdue by the clock of their
    own group, with no newcomer in their place (`newborn_ms`), or late.
    """
    n_own = 0
    clock = (now_ms, listen_ms)
    for slot in range(len(groups)):
        is_regular = _is_regular(gaps[slot], n_gaps[slot], rules)
        group = groups[slot]
        if group < 0 or heard_ms[slot] == 0 or track[slot, KIND] == IGNORED or not is_regular:
            continue
        since_ms, last_ms = heard_ms[slot], track[slot, LAST_TS]
        if track[slot, TRACK_PHASE] != LIVE:
            while group >= 0:
                tally[group, TOGETHER] += since_ms >= times[group, ENDED_MS] - rules[TOGETHER_MS]
                group = parents[group]
            continue
        patience_ms = _patience_ms(gaps[slot], n_gaps[slot], rules)
        late_ms = 0.0
        if now_ms >= rules[LATE_FROM_MS]:
            late_ms = _lateness_ms(gaps[slot], since_ms, last_ms, now_ms, patience_ms)
        is_late = late_ms > patience_ms
        silence_ms = 0
        if newborn_ms[group] < since_ms - rules[REPLACED_MS]:
            silence_ms = times[group, HEARD_MS] - max(since_ms, resumed_ms[group])
        if silence_ms > patience_ms or is_late:
            own[n_own] = slot
            n_own += 1
            tally[group, OWN] += 1
        tally[group, FALLING] += 2 * silence_ms > patience_ms or is_late
        together_ms = rules[TOGETHER_MS] + 1000.0 * float(gaps[slot, HIGH])
        while group >= 0:
            tally[group, LATE] += is_late
            tally[group, LATE_S] += is_late * (since_ms - last_ms) // 1000
            tally[group, LATISH] += 2.0 * late_ms > patience_ms
            if _silence_ms(since_ms, group, parents, times, resumed_ms, clock) > patience_ms:
                is_past = since_ms < times[group, FELL_MS] - together_ms
                tally[group, PAST if is_past else OVERDUE] += 1
            group = parents[group]
    return n_own
