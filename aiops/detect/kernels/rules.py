"""Kernels of the detection rules: bad data out before the bank, verdicts sifted after it.

A slot has the number of its rule, 0 for none; a rule has a row of `table` (columns below) and a
row of `counts`. `aiops.detect.rules` describes the settings, `tests/naive/rules.py` repeats both.
"""

import math

import numpy as np

from aiops.detect.columns import U8, U64
from aiops.detect.kernels.compile import helper, kernel
from aiops.domain.samples import F64, I32, I64

# columns of a rule; what is not set never applies (0, or an infinity on its side)
DIRECTION = 0  # 1: only above, -1: only below, 0: both
DEVIATION_MIN, DEVIATION_RATIO_MIN = 1, 2
VALID_MIN, VALID_MAX = 3, 4
ABOVE, BELOW, BEYOND_SCORE = 5, 6, 7  # thresholds, and the score of a row beyond one
WARMUP = 8  # rows that are not judged
OTHER = 9  # 1: the built-in detector leaves the series alone
RULE_SIZE = 10

# columns of counts: rows out of the valid range; at a level and sifted out; beyond a threshold
N_INVALID, N_SIFTED, N_BEYOND = range(3)
COUNTS_SIZE = 3

# Bits of a row's word of parts (`detect.parts`), in byte 5 above the season.
INVALID_BIT = 1 << 45
BELOW_BIT = 1 << 46
ABOVE_BIT = 1 << 47

NOTABLE_SCORE = 3.0
"""Follows: no level lies lower (`class_budget.LEVEL_MIN`), so nothing less is missed."""


@helper
def _is_unwanted(rule: F64, value: float, expected: float) -> bool:
    """Tell whether a deviation goes the wrong way or is too small; without a baseline it is not."""
    away = value - expected
    size = abs(away)
    if rule[DIRECTION] * away < 0.0 or size < rule[DEVIATION_MIN]:
        return True
    return bool(size < rule[DEVIATION_RATIO_MIN] * abs(expected))


@helper
def _share(excess: float, bound: float) -> float:
    """Return how far beyond a bound a value lies, from 0 to 1, so that the farthest counts most."""
    whole = excess + abs(bound)
    return excess / whole if whole < math.inf else 1.0


@kernel("void(u1[::1],f8[:,::1],u1[::1],i4[::1],f8[::1],f8[::1],u8[::1],i8[:,::1],i8)")
def k_rules_prepare(
    rule_of_slot: U8,
    table: F64,
    recent: U8,
    slots: I32,
    features: F64,
    judged: F64,
    words: U64,
    counts: I64,
    window_rows: int,
) -> None:
    """Make features out of their valid range absent; write the features that the bank may see.

    For `window_rows` rows after an invalid one a series' words say so.
    """
    for i in range(len(slots)):
        slot = slots[i]
        n_rule = rule_of_slot[slot]
        value = features[i]
        judged[i] = value
        if n_rule == 0:
            continue
        rule = table[n_rule]
        if value < rule[VALID_MIN] or value > rule[VALID_MAX]:
            counts[n_rule, N_INVALID] += 1
            recent[slot] = window_rows
            features[i], judged[i] = math.nan, math.nan
            continue
        if rule[OTHER] > 0.0:
            judged[i] = math.nan
        if recent[slot] > 0:
            recent[slot] -= 1
            words[i] |= np.uint64(INVALID_BIT)


@kernel("void(u1[::1],f8[:,::1],i4[::1],i4[::1],f8[::1],f8[::1],f8[::1],f8[::1],u8[::1],i8[:,::1])")
def k_rules_apply(
    rule_of_slot: U8,
    table: F64,
    seen: I32,
    slots: I32,
    features: F64,
    scores: F64,
    alerts: F64,
    expected: F64,
    parts: U64,
    counts: I64,
) -> None:
    """Take the scores of rows that a rule does not want, and raise those beyond a threshold."""
    for i in range(len(slots)):
        slot = slots[i]
        n_rule = rule_of_slot[slot]
        value = features[i]
        if n_rule == 0 or math.isnan(value):
            continue
        rule = table[n_rule]
        is_young = seen[slot] < rule[WARMUP]
        if is_young:
            seen[slot] += 1
        if is_young or _is_unwanted(rule, value, expected[i]):
            if max(scores[i], alerts[i]) >= NOTABLE_SCORE:
                counts[n_rule, N_SIFTED] += 1
            scores[i], alerts[i] = 0.0, 0.0
        if value > rule[ABOVE]:
            parts[i] |= np.uint64(ABOVE_BIT)
            beyond = _share(value - rule[ABOVE], rule[ABOVE])
        elif value < rule[BELOW]:
            parts[i] |= np.uint64(BELOW_BIT)
            beyond = _share(rule[BELOW] - value, rule[BELOW])
        else:
            continue
        counts[n_rule, N_BEYOND] += 1
        scores[i] = max(scores[i], rule[BEYOND_SCORE] + beyond)
        alerts[i] = max(alerts[i], rule[BEYOND_SCORE] + beyond)
