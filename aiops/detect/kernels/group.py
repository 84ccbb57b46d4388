"""Kernels of the group bank: what is unusual about each series, pooled over one entity.

A series has a row of `series` and of `links`, an entity a row of `entities` and of `rounds`
(columns below). `aiops.detect.banks.group` describes the method, `tests/naive/group.py` repeats
it plainly. Slots in `links` and `rounds` are kept as slot + 1, so that 0 means none.
"""

import math

from aiops.detect.kernels.compile import helper, kernel
from aiops.detect.kernels.tails import tail_score
from aiops.domain.samples import F64, I32, I64

# series: long-memory level, mean distance from it, samples learnt, evidence as of ROUND
LEVEL, SPREAD, N, HELD, SERIES_SIZE = range(5)
# links: entity, next and previous member of it, number of the round the series last reported in
ENTITY, NEXT, PREVIOUS, REPORTED, LINKS_SIZE = range(5)
# entities: rounds learnt, mean evidence, tail (threshold, mean excess, mean squared excess)
ROUNDS, MEAN, THRESHOLD, EXCESS, SQUARE, ENTITY_SIZE = range(6)
# rounds: number of the present one, newest sample in it, time of the last judged one, members,
# how many of them reported, first member
ROUND, NEWEST_MS, JUDGED_MS, MEMBERS, N_REPORTED, FIRST, ROUND_SIZE = range(7)

# verdicts: what a judged round showed
SCORE, EVIDENCE, EXPECTED, HALF, VERDICT_SIZE = range(5)

VALUE_MAX = 1e150  # chosen: sums and ratios of two such values stay finite

# Evidence of a sample; chosen by every second machine, figures of the others: quality_group.
SCORE_FREE = 1.5  # decades that every thirtieth sample shows are no evidence
DISTANCE_FREE = 4.0  # spreads from the level that are no evidence
DISTANCE_WEIGHT = 2.0  # evidence for each e-fold of the distance: a power tail of exponent 4.6
EVIDENCE_MAX = 16.0  # chosen: so loud is loud enough
HOLD = 0.97  # share of evidence left after a round: metrics need not be unusual at once

LEVEL_RATE = 1e-5  # chosen: the level is the mean of all there was, up to two months of minutes
LEVEL_CLIP = 4.0  # spreads a sample may pull at the level
SPREAD_LEAST, SPREAD_ZERO = 1e-4, 1e-12  # least spread: share of the level (chosen), at zero
DISTANCE_MAX = 1e6  # chosen: beyond there is nothing left to tell apart

TAIL_Q = 0.02  # share of rounds beyond the tail's threshold (chosen: as in the seasonal bank)
TAIL_RATE, TAIL_STEP = 1e-4, 1e-4  # chosen: disturbances are rare, their tail must not forget
# least threshold and mean excess, in evidence of one series: alone at its loudest it scores 3
THRESHOLD_LEAST, EXCESS_LEAST = 12.0, 1.2
TAIL_CLIP = 4.0  # mean excesses beyond the threshold that a round may teach
BAND = 2.995732273553991  # ln(0.02 / 0.001): the band holds all but one round in a thousand
CAP = 4.5  # decades a score may exceed log10(rounds): what they and a fitted tail support


@helper
def _evidence(row: F64, value: float, score: float, warmup: float) -> float:
    """Return how unusual a sample is, in decades beyond the ordinary; then learn its level."""
    n = row[N] + 1.0
    row[N] = n
    if n == 1.0:
        row[LEVEL], row[SPREAD] = value, 0.0
        return 0.0
    rate = max(LEVEL_RATE, 1.0 / n)
    spread = max(row[SPREAD], SPREAD_LEAST * abs(row[LEVEL]) + SPREAD_ZERO)
    away = value - row[LEVEL]
    distance = min(abs(away) / spread, DISTANCE_MAX)
    limit = LEVEL_CLIP * spread
    if n > warmup:
        away = min(max(away, -limit), limit)
    row[LEVEL] += rate * away
    row[SPREAD] += rate * (abs(away) - row[SPREAD])
    if n <= warmup:
        return 0.0
    evidence = max(score - SCORE_FREE, 0.0)
    if distance > DISTANCE_FREE:
        evidence += DISTANCE_WEIGHT * math.log(1.0 + distance - DISTANCE_FREE)
    return min(evidence, EVIDENCE_MAX)


@helper
def _faded(row: F64, n_rounds: int) -> float:
    """Return what is left of a series' evidence after some rounds."""
    held: float = row[HELD]
    if n_rounds <= 0 or held == 0.0:
        return held
    return held * HOLD**n_rounds


@helper
def _pooled(series: F64, links: I32, rounds: I64, warmup: float) -> tuple[float, float]:
    """Return the mean evidence over the members that are past their warm-up, and their number."""
    total = 0.0
    n_ripe = 0.0
    member = rounds[FIRST]
    while member > 0:
        row = series[member - 1]
        if row[N] > warmup:
            n_ripe += 1.0
            total += _faded(row, rounds[ROUND] - links[member - 1, REPORTED])
        member = links[member - 1, NEXT]
    return (total / n_ripe if n_ripe > 0.0 else 0.0), n_ripe


@helper
def _learn_round(row: F64, pooled: float, n_series: float) -> None:
    """Learn a round's evidence, the mean of so many series."""
    threshold_least, least = THRESHOLD_LEAST / n_series, EXCESS_LEAST / n_series
    n = row[ROUNDS] + 1.0
    row[ROUNDS] = n
    if n == 1.0:
        row[MEAN], row[THRESHOLD] = pooled, max(2.0 * pooled, threshold_least)
        row[EXCESS] = max(0.7 * pooled, least)
        row[SQUARE] = 2.0 * row[EXCESS] * row[EXCESS]
        return
    learnt = min(pooled, row[THRESHOLD] + TAIL_CLIP * row[EXCESS])
    row[MEAN] += max(TAIL_RATE, 1.0 / n) * (learnt - row[MEAN])
    unit = max(row[MEAN], threshold_least)
    step = 3.0 * max(TAIL_STEP, 1.0 / (0.3 * n + 1.0)) * unit
    if learnt <= row[THRESHOLD]:
        row[THRESHOLD] = max(row[THRESHOLD] - step * TAIL_Q, threshold_least)
        return
    beyond = learnt - row[THRESHOLD]
    rate = max(10.0 * TAIL_RATE, 1.0 / (TAIL_Q * n + 5.0))  # five rounds' weight for the start
    row[THRESHOLD] += step * (1.0 - TAIL_Q)
    row[EXCESS] = max(row[EXCESS] + rate * (beyond - row[EXCESS]), least)
    row[SQUARE] = max(row[SQUARE] + rate * (beyond * beyond - row[SQUARE]), least * least)


@helper
def _take(
    row: F64, link: I32, now: I64, ts_ms: int, value: float, score: float, warmup: float
) -> None:
    """Take a sample into its series' evidence, and note that the series reported."""
    left = _faded(row, now[ROUND] - link[REPORTED])
    value = min(max(value, -VALUE_MAX), VALUE_MAX)
    row[HELD] = max(left, _evidence(row, value, score, warmup))
    if link[REPORTED] != now[ROUND]:
        link[REPORTED] = now[ROUND]
        now[N_REPORTED] += 1
    now[NEWEST_MS] = max(now[NEWEST_MS], ts_ms)


@helper
def _end_round(series: F64, links: I32, row: F64, now: I64, bounds: F64, verdict: F64) -> bool:
    """Judge and learn what the members show, and begin a new round; tell if it was judged."""
    pooled, n_ripe = _pooled(series, links, now, bounds[0])
    now[ROUND] += 1
    now[N_REPORTED] = 0
    now[JUDGED_MS] = now[NEWEST_MS]
    if n_ripe < bounds[1]:
        return False
    n = row[ROUNDS]
    is_judged: bool = n >= bounds[2]
    if is_judged:
        verdict[EVIDENCE] = pooled
        verdict[SCORE] = min(
            tail_score(pooled, row[THRESHOLD], row[EXCESS], row[SQUARE]), math.log10(n) + CAP
        )
        verdict[EXPECTED] = row[MEAN]
        verdict[HALF] = row[THRESHOLD] + BAND * row[EXCESS] - row[MEAN]
    _learn_round(row, pooled, n_ripe)
    return is_judged


@kernel(
    "i8(f8[:,::1],i4[:,::1],f8[:,::1],i8[:,::1],f8[::1],i4[::1],i8[::1],f8[::1],f8[::1],"
    "i4[::1],i8[::1],f8[:,::1])"
)
def k_group_judge(
    series: F64,
    links: I32,
    entities: F64,
    rounds: I64,
    bounds: F64,
    slots: I32,
    ts_ms: I64,
    features: F64,
    scores: F64,
    out_entities: I32,
    out_ts_ms: I64,
    verdicts: F64,
) -> int:
    """Take every row into its series' evidence, judge rounds that end; return how many were.

    `bounds` are samples of warm-up, least members, and rounds learnt before one is judged. A
    round ends once every member reported, or before a later sample of one that already did. At
    most one round a row is judged, since only an entity of one member could end two.
    """
    n_out = 0
    for i in range(len(slots)):
        slot = slots[i]
        entity = links[slot, ENTITY] - 1
        if entity < 0 or math.isnan(features[i]):
            continue
        now = rounds[entity]
        if now[ROUND] == 0:
            now[ROUND] = 1
            now[NEWEST_MS] = now[JUDGED_MS] = ts_ms[i] - 1
        is_judged = False
        row = entities[entity]
        verdict = verdicts[n_out]
        if links[slot, REPORTED] == now[ROUND] and ts_ms[i] > now[NEWEST_MS]:
            is_judged = _end_round(series, links, row, now, bounds, verdict)
        _take(series[slot], links[slot], now, ts_ms[i], features[i], scores[i], bounds[0])
        if now[N_REPORTED] >= now[MEMBERS] and now[NEWEST_MS] > now[JUDGED_MS]:
            ended = _end_round(series, links, row, now, bounds, verdict)
            is_judged = is_judged or ended
        if is_judged:
            out_entities[n_out] = entity
            out_ts_ms[n_out] = now[JUDGED_MS]
            n_out += 1
    return n_out
