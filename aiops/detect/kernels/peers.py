"""Kernels of the peer bank: each replica against the median of its group at the same time.

A replica has a row of `replicas` and of `links`, a group a row of `members` (slot + 1 of each
place, 0 for a free one) and of `rounds` (columns below). `aiops.detect.banks.peers` describes the
method, `tests/naive/peers.py` repeats it plainly.
"""

import math

from aiops.detect.kernels.compile import helper, kernel
from aiops.detect.kernels.tails import tail_score
from aiops.domain.samples import F64, I32, I64

PEERS_MAX = 64
"""Chosen: replicas of a group that are compared; the median of so many is sharp enough."""

# replicas: newest value, habitual offset from the median, mean distance from it, rounds learnt,
# tail (threshold, mean excess, mean squared excess), 1 after a round beyond the threshold
VALUE, OFFSET, SPREAD, N, THRESHOLD, EXCESS, SQUARE, BEYOND, REPLICA_SIZE = range(9)
# links: group + 1 (0: in none), place in it, number of the round the replica last reported in
GROUP, PLACE, REPORTED, LINKS_SIZE = range(4)
# rounds: number of the present one, newest sample in it, time of the last one that ended,
# members, how many of them reported, places ever used
ROUND, NEWEST_MS, JUDGED_MS, MEMBERS, N_REPORTED, PLACES, ROUND_SIZE = range(7)
# verdicts on a replica
SCORE, FEATURE, EXPECTED, HALF, VERDICT_SIZE = range(5)

VALUE_MAX = 1e150  # chosen: sums and ratios of two such values stay finite
UNIT_MAX = 1e6  # chosen: beyond a million scales there is nothing left to tell apart
RATE = 0.002  # chosen: a replica's habits are those of its last 500 rounds
LEARN_MAX = 4.0  # spreads a round may teach at most, so that an outlier is got used to slowly
FREE_ROUNDS = 20.0  # until then distances are measured with an unripe spread, and not ranked
MAD_TO_MEAN = 1.183  # mean over median absolute deviation of a normal sample: 0.798 / 0.6745
FLOOR_MEDIAN, FLOOR_ZERO = 1e-3, 1e-12  # least scale: share of the median (chosen), at zero

TAIL_Q = 0.02  # share of rounds beyond the tail's threshold (chosen: as in the seasonal bank)
TAIL_START, TAIL_LEAST = 2.5, 1.0  # mean distances; a normal sample's 2 % quantile is 2.9
BAND = 2.995732273553991  # ln(0.02 / 0.001): the band holds all but one round in a thousand
CAP = 4.5  # decades a score may exceed log10(rounds): what they and a fitted tail support


@helper
def _sort(values: F64, n: int) -> None:
    """Sort the first values in place, by insertion: they are few."""
    for i in range(1, n):
        value = values[i]
        k = i
        while k > 0 and values[k - 1] > value:
            values[k] = values[k - 1]
            k -= 1
        values[k] = value


@helper
def _median(values: F64, n: int) -> float:
    """Return the median of the first values, which get sorted."""
    _sort(values, n)
    half = n // 2
    middle: float = values[half]
    return middle if n % 2 else 0.5 * (values[half - 1] + middle)


@helper
def _learn_tail(row: F64, unit: float) -> None:
    """Move the tail towards this distance; of those beyond the threshold in a row only by one."""
    n = row[N]
    was_beyond = row[BEYOND] > 0.0
    row[BEYOND] = 1.0 if unit > row[THRESHOLD] else 0.0
    if was_beyond and unit > row[THRESHOLD]:
        return
    unit = min(unit, row[THRESHOLD] + 4.0 * row[EXCESS])
    step = 3.0 * max(RATE, 1.0 / (0.3 * n + 1.0))
    if unit <= row[THRESHOLD]:
        row[THRESHOLD] = max(row[THRESHOLD] - step * TAIL_Q, TAIL_LEAST)
        return
    beyond = unit - row[THRESHOLD]
    rate = max(10.0 * RATE, 1.0 / (TAIL_Q * n + 5.0))  # five rounds' weight for the start values
    row[THRESHOLD] += step * (1.0 - TAIL_Q)
    row[EXCESS] = max(row[EXCESS] + rate * (beyond - row[EXCESS]), 0.2)
    row[SQUARE] = max(row[SQUARE] + rate * (beyond * beyond - row[SQUARE]), 0.04)


@helper
def _judge(row: F64, median: float, common: float, warmup: float, verdict: F64) -> None:
    """Score a replica's distance from where it habitually is to the median; then learn it.

    `common` is how far the replicas typically are from their habits in this very round.
    """
    if row[N] == 0.0:
        row[OFFSET], row[SPREAD] = row[VALUE] - median, 0.0
        row[THRESHOLD], row[EXCESS], row[SQUARE] = TAIL_START, 1.0, 2.0
    n = row[N] + 1.0
    row[N] = n
    away = row[VALUE] - median - row[OFFSET]
    floor = FLOOR_MEDIAN * abs(median) + FLOOR_ZERO
    scale = max(row[SPREAD], common) + floor
    unit = min(abs(away) / scale, UNIT_MAX)
    verdict[SCORE] = 0.0
    verdict[FEATURE] = row[VALUE]
    verdict[EXPECTED], verdict[HALF] = math.nan, math.nan
    if n > warmup:
        verdict[SCORE] = min(
            tail_score(unit, row[THRESHOLD], row[EXCESS], row[SQUARE]), math.log10(n) + CAP
        )
        verdict[EXPECTED] = median + row[OFFSET]
        verdict[HALF] = scale * (row[THRESHOLD] + BAND * row[EXCESS])
    rate = max(RATE, 1.0 / n)
    if n > FREE_ROUNDS:
        _learn_tail(row, unit)
        limit = LEARN_MAX * scale
        away = min(max(away, -limit), limit)
    row[OFFSET] += rate * away
    row[SPREAD] += rate * (abs(away) - row[SPREAD])


@helper
def _end_round(
    replicas: F64,
    links: I32,
    group: I32,
    now: I64,
    bounds: F64,
    scratch: F64,
    out_slots: I32,
    verdicts: F64,
    n_out: int,
) -> int:
    """Judge the replicas that reported, if they are enough; return how many verdicts there are."""
    n = 0
    for place in range(now[PLACES]):
        slot = group[place] - 1
        if slot >= 0 and links[slot, REPORTED] == now[ROUND]:
            scratch[n] = replicas[slot, VALUE]
            n += 1
    if n > 0 and float(n) >= bounds[1]:
        median = _median(scratch, n)
        n = 0
        for place in range(now[PLACES]):
            slot = group[place] - 1
            if slot >= 0 and links[slot, REPORTED] == now[ROUND]:
                row = replicas[slot]
                is_known = row[N] > 0.0
                scratch[n] = abs(row[VALUE] - median - row[OFFSET]) if is_known else 0.0
                n += 1
        common = MAD_TO_MEAN * _median(scratch, n)
        for place in range(now[PLACES]):
            slot = group[place] - 1
            if slot >= 0 and links[slot, REPORTED] == now[ROUND]:
                _judge(replicas[slot], median, common, bounds[0], verdicts[n_out])
                out_slots[n_out] = slot
                n_out += 1
    now[ROUND] += 1
    now[N_REPORTED] = 0
    now[JUDGED_MS] = now[NEWEST_MS]
    return n_out


@kernel(
    "i8(f8[:,::1],i4[:,::1],i4[:,::1],i8[:,::1],f8[::1],f8[::1],i4[::1],i8[::1],f8[::1],i8,"
    "i4[::1],i8[::1],f8[:,::1],i8[::1])"
)
def k_peers_judge(
    replicas: F64,
    links: I32,
    members: I32,
    rounds: I64,
    bounds: F64,
    scratch: F64,
    slots: I32,
    ts_ms: I64,
    features: F64,
    start: int,
    out_slots: I32,
    out_ts_ms: I64,
    verdicts: F64,
    out_next: I64,
) -> int:
    """Take rows from `start` on, judge rounds that end; return how many replicas were judged.

    `bounds` are rounds of warm-up and least replicas of a round. A round ends once every member
    reported, or before a later sample of one that already did. `out_next` gets the first row not
    taken: a row that two full rounds might not find room for waits for the next call.
    """
    n_out = 0
    for i in range(start, len(slots)):
        slot = slots[i]
        link = links[slot]
        if link[GROUP] == 0 or math.isnan(features[i]):
            continue
        if n_out + 2 * PEERS_MAX > len(out_slots):
            out_next[0] = i
            return n_out
        group = link[GROUP] - 1
        now = rounds[group]
        if now[ROUND] == 0:
            now[ROUND] = 1
            now[NEWEST_MS] = ts_ms[i] - 1
            now[JUDGED_MS] = ts_ms[i] - 1
        before = n_out
        if link[REPORTED] == now[ROUND] and ts_ms[i] > now[NEWEST_MS]:
            n_out = _end_round(
                replicas, links, members[group], now, bounds, scratch, out_slots, verdicts, n_out
            )
            for k in range(before, n_out):
                out_ts_ms[k] = now[JUDGED_MS]
        replicas[slot, VALUE] = min(max(features[i], -VALUE_MAX), VALUE_MAX)
        if link[REPORTED] != now[ROUND]:
            link[REPORTED] = now[ROUND]
            now[N_REPORTED] += 1
        now[NEWEST_MS] = max(now[NEWEST_MS], ts_ms[i])
        if now[N_REPORTED] >= now[MEMBERS] and now[NEWEST_MS] > now[JUDGED_MS]:
            before = n_out
            n_out = _end_round(
                replicas, links, members[group], now, bounds, scratch, out_slots, verdicts, n_out
            )
            for k in range(before, n_out):
                out_ts_ms[k] = now[JUDGED_MS]
    out_next[0] = len(slots)
    return n_out
