"""Every detection kernel against its plain twin, on seeded and on hostile data.

k_seasonal_score and k_episodes_step run through their owners, the bank and the episode machine.
The same file is run once more with the compiler switched off.
"""

import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from series_data import NULLS, START_MS, times

from aiops.config import DetectConfig
from aiops.detect.banks.seasonal import SeasonalBank
from aiops.detect.columns import ScoreColumns
from aiops.detect.episodes import Episodes
from aiops.detect.kernels.tails import k_tail_learn, k_tail_score
from tests.naive.detect import (
    NaiveEpisode,
    NaiveSeries,
    NaiveTail,
    naive_episodes_step,
    naive_seasonal_score,
    naive_tail_learn,
    naive_tail_score,
    naive_tally,
)

IS_COMPILED = os.environ.get("NUMBA_DISABLE_JIT", "0") == "0"
N_LONG = 6000 if IS_COMPILED else 800


def hostile(name, n=400):
    rng = np.random.default_rng(5)
    values = rng.normal(size=n)
    special = {
        "nan": math.nan,
        "infinite": math.inf,
        "negative infinite": -math.inf,
        "huge": 1.7e308,
        "denormal": 5e-324,
    }
    values[rng.random(n) < 0.1] = special[name]
    return values


def with_faults(n):
    rng = np.random.default_rng(11)
    values = 10 + np.sin(np.arange(n) / 60) + 0.3 * rng.normal(size=n)
    for start in range(200, n, 500):
        values[start : start + 60] *= 3
    values[n // 2 :] += 40
    return values


def compare(values, ts_ms, warmup=60):
    bank = SeasonalBank(DetectConfig(warmup_samples=warmup), 1)
    out = ScoreColumns.allocate(len(values))
    bank.score_learn(np.zeros(len(values), np.int32), ts_ms, values, out)
    series = NaiveSeries(warmup=warmup)
    rows = [
        naive_seasonal_score(series, int(t), float(v)) for t, v in zip(ts_ms, values, strict=True)
    ]
    expected = np.array(rows).reshape(-1, 3)
    columns = np.stack([out.scores, out.expected, out.half], axis=1)[: len(values)]
    np.testing.assert_allclose(columns, expected, rtol=1e-9, atol=1e-9)
    for array in bank.state().values():
        assert np.isfinite(array).all()


@pytest.mark.parametrize("name", sorted(NULLS))
def test_seasonal_score_equals_its_twin_on_ordinary_series(name):
    values = np.ascontiguousarray(NULLS[name](np.random.default_rng(3), 500), float)
    compare(values, times(500, 15))


@pytest.mark.parametrize("name", ["nan", "infinite", "negative infinite", "huge", "denormal"])
def test_seasonal_score_equals_its_twin_on_hostile_values(name):
    compare(hostile(name), times(400))


@pytest.mark.parametrize("n", [0, 1, 2])
def test_seasonal_score_equals_its_twin_on_hardly_any_samples(n):
    compare(np.arange(n, dtype=float), times(n))


def test_seasonal_score_equals_its_twin_through_faults_shift_and_days():
    compare(with_faults(N_LONG), times(N_LONG, 60))


def test_seasonal_score_equals_its_twin_at_irregular_and_backward_times():
    rng = np.random.default_rng(9)
    steps = rng.choice([-500, 0, 1000, 60_000, 40_000_000], 600, p=[0.1, 0.1, 0.4, 0.3, 0.1])
    compare(rng.normal(size=600), START_MS + np.cumsum(steps))


def test_tail_kernels_equal_their_twins():
    row = np.array([2.5, 1.0, 2.0])
    tail = NaiveTail()
    units = np.abs(np.random.default_rng(1).standard_t(3, 2000))
    for n, unit in enumerate([*units.tolist(), 0.0, 5e-324, 1e6]):
        assert k_tail_score(row, 0, unit) == pytest.approx(naive_tail_score(tail, unit), rel=1e-9)
        k_tail_learn(row, 0, unit, float(n + 1))
        naive_tail_learn(tail, unit, n + 1)
    assert row.tolist() == pytest.approx([tail.threshold, tail.excess, tail.square], rel=1e-9)


def episode_rows(seed, n, n_slots):
    rng = np.random.default_rng(seed)
    slots = rng.integers(0, n_slots, n).astype(np.int32)
    scores = rng.choice([0.0, 2.0, 4.0, 7.0, 9.0], n, p=[0.3, 0.2, 0.1, 0.2, 0.2])
    features = np.where(rng.random(n) < 0.05, np.nan, rng.normal(size=n))
    alerts, parts = scores * rng.random(n), rng.integers(0, 2**48, n, np.uint64)
    out = ScoreColumns(scores, rng.normal(size=n), rng.random(n), features, scores, alerts, parts)
    return slots, times(n), out


def told_of(out):
    return out.alerts, out.parts


def peak_of(event):
    band = (event.expected, event.lower, event.upper)
    return (event.score, event.peak_ms, event.value, *band, event.parts, event.alert)


@pytest.mark.parametrize("n", [0, 1, 3000])
@pytest.mark.parametrize("open_samples", [1, 3])
def test_episodes_step_equals_its_twin(n, open_samples):
    slots, ts_ms, out = episode_rows(n + open_samples, n, 7)
    config = DetectConfig(open_samples=open_samples, close_samples=4)
    mask = np.zeros(n, np.uint8)
    machine = Episodes(config, 7, "seasonal")
    events = machine.step(slots, ts_ms, out.features, out, mask)
    columns = (slots, ts_ms, out.features, out.scores, out.expected, out.half, *told_of(out))
    episodes: dict[int, NaiveEpisode] = {}
    twin_events, twin_mask = naive_episodes_step(
        episodes,
        list(zip(*(column.tolist() for column in columns), strict=True)),
        alarm=6.0,
        clear=3.0,
        open_samples=open_samples,
        close_samples=4,
    )
    told = [(str(e.change), e.slot, e.onset_ms, e.end_ms, *peak_of(e)) for e in events]
    assert told == twin_events
    assert mask.tolist() == twin_mask
    assert machine.open_now == sum(e.phase == "open" for e in episodes.values())
    assert machine.tally[0].tolist() == naive_tally(episodes)
    assert n < 3000 or len(told) > 20


@pytest.mark.skipif(not IS_COMPILED, reason="this is the run without the compiler")
def test_kernels_equal_their_twins_without_the_compiler():
    root = Path(__file__).parents[3]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__]
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run(
        command, cwd=root, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:]
