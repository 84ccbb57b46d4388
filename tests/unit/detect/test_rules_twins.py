"""The kernels of the detection rules against their plain twins; run once more uncompiled.

k_rules_prepare and k_rules_apply run through their owner, `DetectionRules`.
"""

import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from aiops.config import DetectConfig
from aiops.detect.columns import ScoreColumns
from aiops.detect.kernels.rules import ABOVE_BIT, BELOW_BIT, INVALID_BIT
from aiops.detect.rules import DetectionRules
from aiops.domain.labels import labels_from
from tests.naive.rules import NaiveRuled, naive_rules_apply, naive_rules_prepare

RULES = (
    {"direction": "up"},
    {"direction": "down", "deviation_min": 0.5},
    {"deviation_ratio_min": 0.3},
    {"deviation_min": 0.2, "deviation_ratio_min": 0.1, "warmup_samples": 60},
    {"valid_min": -1.0, "valid_max": 1.5},
    {"threshold_above": 1.0, "threshold_below": -0.5},
    {"threshold_above": 0.0, "detector": "off"},
    {"detector": "off"},
    {"valid_max": 1.0, "threshold_above": 0.5, "direction": "down", "deviation_min": 1.0},
    {},
)
WINDOW_ROWS = 4
SPECIAL = (math.nan, math.inf, -math.inf, 1.7e308, -1.7e308, 5e-324, -0.0, 0.0)
BITS = {"": 0, "above": ABOVE_BIT, "below": BELOW_BIT}


def ruled() -> DetectionRules:
    """One slot for each rule, and a last one that none holds for."""
    rules = [{"match": f'{{n="{n}"}}', **rule} for n, rule in enumerate(RULES)]
    config = DetectConfig.model_validate({"rules": rules, "default_rules": []})
    made = DetectionRules(config, len(RULES) + 1, rows_max=4096, window_rows=WINDOW_ROWS)
    slots = np.arange(len(RULES) + 1, dtype=np.int32)
    made.admit(slots, lambda slot: labels_from({"n": str(slot)}))
    return made


def twins() -> list[NaiveRuled]:
    config = DetectConfig.model_validate({"rules": [{"match": "{}", **rule} for rule in RULES]})
    return [NaiveRuled(rule, WINDOW_ROWS) for rule in (*config.rules, None)]


def assert_rows(columns, wanted):
    np.testing.assert_array_equal(columns, np.array(wanted, float).reshape(-1, 2))


def compare(slots, features, scores, alerts, expected):
    """Feed rows to both in two batches; every column must agree to the bit."""
    made, plain = ruled(), twins()
    cut = len(slots) // 3
    for part in (slice(0, cut), slice(cut, None)):
        n = len(slots[part])
        out = ScoreColumns.allocate(n)
        out.scores[:], out.alerts[:] = scores[part], alerts[part]
        out.expected[:] = expected[part]
        words, kept = np.zeros(n, np.uint64), features[part].copy()
        judged = made.prepare(slots[part], kept, words)
        wanted = [
            naive_rules_prepare(plain[slot], value)
            for slot, value in zip(slots[part].tolist(), features[part].tolist(), strict=True)
        ]
        assert_rows(np.stack([kept, judged], 1), [w[:2] for w in wanted])
        assert ((words & np.uint64(INVALID_BIT)) > 0).tolist() == [w[2] for w in wanted]
        made.apply(slots[part], kept, out)
        columns = (slots[part], kept, scores[part], alerts[part], expected[part])
        verdicts = [
            naive_rules_apply(plain[slot], *row)
            for slot, *row in zip(*(column.tolist() for column in columns), strict=True)
        ]
        assert_rows(np.stack([out.scores, out.alerts], 1), [v[:2] for v in verdicts])
        assert out.parts.tolist() == [BITS[v[2]] for v in verdicts]
    counted = [(c.n_invalid, c.n_sifted, c.n_beyond) for c in made.counts()]
    assert counted == [tuple(series.counts.values()) for series in plain[:-1]]


def rows(n, seed=1):
    rng = np.random.default_rng(seed)
    slots = rng.integers(len(RULES) + 1, size=n).astype(np.int32)
    scores = np.where(rng.random(n) < 0.2, 0.0, rng.exponential(2.0, n))
    alerts = np.where(rng.random(n) < 0.5, 0.0, scores)
    expected = np.where(rng.random(n) < 0.1, np.nan, rng.normal(size=n))
    return slots, rng.normal(size=n), scores, alerts, expected


@pytest.mark.parametrize("n", [1, 2, 3000])
def test_rows_are_as_their_twins_on_ordinary_data(n):
    compare(*rows(n))


def test_rows_are_as_their_twins_on_hostile_data():
    slots, features, scores, alerts, expected = rows(3000, seed=2)
    rng = np.random.default_rng(3)
    for column in (features, expected):
        hit = np.flatnonzero(rng.random(len(column)) < 0.4)
        column[hit] = rng.choice(SPECIAL, len(hit))
    with np.errstate(all="ignore"):  # the kernels warn of nothing; without the compiler numpy does
        compare(slots, features, scores, alerts, expected)


def test_constant_rows_are_as_their_twins():
    n = 500
    slots = np.arange(n, dtype=np.int32) % (len(RULES) + 1)
    compare(slots, np.full(n, 2.0), np.full(n, 7.0), np.full(n, 7.0), np.full(n, 2.0))


def test_an_empty_batch_is_none_at_all():
    empty = np.zeros(0)
    compare(np.zeros(0, np.int32), empty, empty, empty, empty)


@pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT", "0") != "0", reason="this is that run")
def test_kernels_pass_uncompiled_as_well():
    root = Path(__file__).parents[3]
    command = [sys.executable, "-m", "pytest", "-q", "-x", "--no-header", str(Path(__file__))]
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run(
        command, cwd=root, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:]
