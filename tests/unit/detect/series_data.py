"""Small seeded series and the one-line ways to score them."""

import numpy as np

from aiops.config import DetectConfig
from aiops.detect.banks.seasonal import SeasonalBank
from aiops.detect.columns import ScoreColumns
from aiops.detect.episodes import EpisodeEvent, Episodes

START_MS = 1_700_000_000_000


def times(n, interval_s=1.0):
    return START_MS + (np.arange(n) * interval_s * 1000).astype(np.int64)


def autoregressive(rng, n, memory):
    noise = rng.normal(size=n) * np.sqrt(1 - memory**2)
    values = np.empty(n)
    last = 0.0
    for i in range(n):
        last = memory * last + noise[i]
        values[i] = last
    return values


NULLS = {
    "stable": lambda rng, n: rng.normal(10, 1, n),
    "constant": lambda rng, n: np.full(n, 7.0),
    "float dust": lambda rng, n: 0.3 + rng.choice([0.0, 5.6e-17], n),
    "sparse": lambda rng, n: (rng.random(n) < 0.01) * rng.exponential(5, n),
    "rare": lambda rng, n: (rng.random(n) < 0.001) * 1.0,
    "low counts": lambda rng, n: rng.poisson(0.3, n).astype(float),
    "counts": lambda rng, n: rng.poisson(20, n).astype(float),
    "lognormal": lambda rng, n: np.exp(rng.normal(size=n)),
    "heavy tail": lambda rng, n: rng.standard_t(2, n),
    "autocorrelated": lambda rng, n: autoregressive(rng, n, 0.95),
    "slow": lambda rng, n: autoregressive(rng, n, 0.999),
    "walk": lambda rng, n: np.cumsum(rng.normal(size=n)),
    "ramp": lambda rng, n: 0.1 * np.arange(n) + rng.normal(size=n),
    "daily": lambda rng, n: 10 + 5 * np.sin(np.arange(n) * 2 * np.pi / 1440) + rng.normal(size=n),
}


def with_faults(n):
    """A slow wave, threefold now and then, 40 higher from its middle on."""
    rng = np.random.default_rng(11)
    values = 10 + np.sin(np.arange(n) / 60) + 0.3 * rng.normal(size=n)
    for start in range(200, n, 500):
        values[start : start + 60] *= 3
    values[n // 2 :] += 40
    return values


def of_days(n_days, per_day=288, seed=4, weekend=-4.0):
    """Days with a wave, from the Tuesday evening of START_MS on; weekends (UTC) differ."""
    n = n_days * per_day
    weekdays = (times(n, 86_400 / per_day) // 86_400_000 + 3) % 7
    wave = 5 * np.sin(np.arange(n) * 2 * np.pi / per_day)
    noise = 0.3 * np.random.default_rng(seed).normal(size=n)
    return 10 + wave + weekend * (weekdays >= 5) + noise


def of_stretches(n, seed=6):
    """Levels that hold for some ten samples each; the first 1000 lie closer to zero."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(4, 30, n // 4)
    levels = np.repeat(rng.uniform(-2, 2, len(lengths)), lengths)[:n]
    return levels * np.where(np.arange(n) < 1000, 0.5, 1.0) + 0.05 * rng.normal(size=n)


def latency(n, seed=0, spread=0.1):
    """Seconds around 0.1."""
    return np.random.default_rng(seed).normal(0.1, 0.1 * spread, n)


def fleet(n_slots, n_rounds, seed=1):
    """Columns of some noisy series, with absent samples and one that shifts."""
    rng = np.random.default_rng(seed)
    slots = np.tile(np.arange(n_slots, dtype=np.int32), n_rounds)
    ts_ms = START_MS + np.repeat(np.arange(n_rounds) * 15_000, n_slots)
    features = rng.normal(10 * (1 + slots), 1.0)
    features[rng.random(len(features)) < 0.03] = np.nan
    features[slots == 1] *= np.where(ts_ms[slots == 1] > ts_ms[len(ts_ms) // 2], 3, 1)
    return slots, ts_ms, features


def columns_of(out, n):
    """All that is said of the first n rows."""
    verdicts = (out.scores, out.severities, out.alerts, out.expected, out.half, out.parts)
    return [column[:n] for column in (*verdicts, out.features)]


def score_fleet(bank, slots, ts_ms, features):
    out = ScoreColumns.allocate(len(slots))
    bank.score_learn(slots.copy(), ts_ms.copy(), features.copy(), out)
    return out


def score_series(values, ts_ms, config=None, bank=None):
    config = config or DetectConfig()
    n = len(values)
    bank = bank or SeasonalBank(config, 1)
    out = ScoreColumns.allocate(n)
    slots = np.zeros(n, np.int32)
    bank.score_learn(slots, ts_ms, np.ascontiguousarray(values, float), out)
    return out


def episodes_of(values, ts_ms, config=None) -> tuple[list[EpisodeEvent], np.ndarray]:
    config = config or DetectConfig()
    out = score_series(values, ts_ms, config)
    machine = Episodes(config, 1, "seasonal")
    mask = np.zeros(len(values), np.uint8)
    features = np.ascontiguousarray(values, float)
    events = machine.step(np.zeros(len(values), np.int32), ts_ms, features, out, mask)
    return events, mask
