"""A fleet in which nothing ever goes wrong: every anomaly found in it is a false one.

Seeded and vectorised: batches of ten simulated minutes come out one after the other, as columns,
so that a fortnight of thousands of series needs no more memory than two hours of it.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import signal

from aiops.clock import DAY_MS
from aiops.domain.samples import F64, I32, I64

BATCH_SPAN_MS = 600_000
"""Simulated time of a batch; every interval divides it."""

CHUNK_BATCHES = 12
"""Chosen: values are drawn for two hours at once, long enough for numpy, 2 MB for 2,000 series."""

INTERVALS_S = (60, 60, 60, 60, 60, 60, 60, 60, 15, 300)
"""Of every ten series of a kind eight come once a minute, one each 15 s and one each 5 min."""

START_MS = 1_704_067_200_000
"""2024-01-01 00:00 UTC, a Monday: any fixed time would do."""

Draw = Callable[[F64], F64]
"""Times in days (one row) to values, one row a series; called for one stretch after another."""

Noise = Callable[[np.random.Generator, tuple[int, int]], F64]
"""Generator and shape (series, times) to values of scale 1."""

Build = Callable[[np.random.Generator, int], Draw]
"""Generator and number of series of a kind to that many series' values."""


def _scaled(
    draw: Noise,
) -> Build:
    """Return independent noise, each series with a level and a scale of its own."""

    def build(rng: np.random.Generator, n: int) -> Draw:
        level, scale = _levels(rng, n)
        return lambda days: level + scale * draw(rng, (n, len(days)))

    return build


def _levels(rng: np.random.Generator, n: int) -> tuple[F64, F64]:
    scale = np.exp(rng.normal(0, 2, (n, 1)))
    return scale * rng.uniform(2, 20, (n, 1)), scale


def _constant(rng: np.random.Generator, n: int) -> Draw:
    level, _scale = _levels(rng, n)
    return lambda days: np.repeat(level, len(days), axis=1)


def _near_constant(rng: np.random.Generator, n: int) -> Draw:
    level = np.round(np.exp(rng.normal(2, 1, (n, 1))))
    return lambda days: level + 1.0 * (rng.random((n, len(days))) < 0.02)


def _sparse(rng: np.random.Generator, n: int) -> Draw:
    rate = rng.uniform(0.003, 0.03, (n, 1))

    def draw(days: F64) -> F64:
        size = (n, len(days))
        return (rng.random(size) < rate) * rng.exponential(5, size)

    return draw


def _counts(low: float, high: float) -> Build:
    def build(rng: np.random.Generator, n: int) -> Draw:
        mean = np.exp(rng.uniform(math.log(low), math.log(high), (n, 1)))
        return lambda days: rng.poisson(mean, (n, len(days))).astype(np.float64)

    return build


def _autoregressive(memory: float, draw: Noise) -> Build:
    """Return noise in which each value keeps the share `memory` of the one before it."""

    def build(rng: np.random.Generator, n: int) -> Draw:
        level, scale = _levels(rng, n)
        last = np.zeros((n, 1))

        def draw_on(days: F64) -> F64:
            nonlocal last
            noise = draw(rng, (n, len(days))) * math.sqrt(1 - min(memory, 0.999) ** 2)
            values, last = signal.lfilter([1.0], [1.0, -memory], noise, axis=1, zi=last)
            return np.asarray(level + scale * values)

        return draw_on

    return build


def _seasonal(weekend: float) -> Build:
    """Return a daily wave under noise; on weekends it is only so high."""

    def build(rng: np.random.Generator, n: int) -> Draw:
        level, scale = _levels(rng, n)
        swing, phase = scale * rng.uniform(2, 8, (n, 1)), rng.random((n, 1))

        def draw(days: F64) -> F64:
            # The epoch was a Thursday: days 2 and 3 of its weeks are Saturday and Sunday.
            height = np.where(np.isin(np.floor(days) % 7, (2, 3)), weekend, 1.0)
            wave = np.sin(2 * math.pi * (days + phase))
            return level + swing * height * wave + scale * rng.normal(size=(n, len(days)))

        return draw

    return build


def _ratio(rng: np.random.Generator, n: int) -> Draw:
    a, b = rng.uniform(1, 20, (n, 1)), rng.uniform(1, 20, (n, 1))
    return lambda days: rng.beta(a, b, (n, len(days)))


KINDS: dict[str, Build] = {
    "stable": _scaled(lambda rng, size: rng.normal(size=size)),
    "constant": _constant,
    "near constant": _near_constant,
    "sparse": _sparse,
    "low counts": _counts(0.1, 3.0),
    "counter rate": _counts(10.0, 1000.0),
    "lognormal": _scaled(lambda rng, size: rng.lognormal(size=size)),
    "student t": _scaled(lambda rng, size: rng.standard_t(3, size)),
    "autoregressive .7": _autoregressive(0.7, lambda rng, size: rng.normal(size=size)),
    "autoregressive .9": _autoregressive(0.9, lambda rng, size: rng.normal(size=size)),
    "autoregressive .99": _autoregressive(0.99, lambda rng, size: rng.normal(size=size)),
    "heavy autoregressive": _autoregressive(0.9, lambda rng, size: rng.standard_t(3, size)),
    "random walk": _autoregressive(1.0, lambda rng, size: rng.normal(size=size)),
    "daily": _seasonal(weekend=1.0),
    "weekly": _seasonal(weekend=0.4),
    "ratio": _ratio,
}
"""What kinds of ordinary series there are, with the way each is made."""

ORDINARY = tuple(kind for kind in KINDS if kind != "weekly")
"""All kinds of which a detector can know everything after a few days. The first free weekend of a
weekly series is no false alarm: nobody could know."""


@dataclass(frozen=True, slots=True)
class NullBatch:
    """Samples of all series over `BATCH_SPAN_MS`; sorted by slot, then by time.

    `now_ms` is the end of the span. The arrays belong to whoever gets the batch.
    """

    now_ms: int
    slots: I32
    ts_ms: I64
    features: F64


class NullFleet:
    """Series of several kinds in equal shares, none of which ever changes its nature.

    Parameters
    ----------
    seed
        Of everything; the same seed gives the same samples.
    n_series
        At least ten for each kind, so that every kind comes at every interval.
    kinds
        Which of `KINDS` there are.

    Raises
    ------
    ValueError
        When there are too few series for the number of kinds.

    Notes
    -----
    Levels and scales differ from series to series over a factor of several hundred. Series are
    independent of each other: in a real fleet a busy host makes many of them restless at once.
    """

    def __init__(self, seed: int, n_series: int = 2000, kinds: Sequence[str] = ORDINARY) -> None:
        if n_series < 10 * len(kinds):
            raise ValueError(f"a null fleet of these kinds needs at least {10 * len(kinds)} series")
        self.n_series = n_series
        self._groups: list[_Group] = []
        shares = np.array_split(np.arange(n_series, dtype=np.int32), len(kinds))
        for k, kind in enumerate(kinds):
            for interval_s in sorted(set(INTERVALS_S)):
                of_interval = np.array(INTERVALS_S)[np.arange(len(shares[k])) % 10] == interval_s
                slots = shares[k][of_interval]
                rng = np.random.default_rng((seed, k, interval_s))
                self._groups.append(_Group(kind, slots, interval_s, KINDS[kind](rng, len(slots))))

    def kind_of(self, slot: int) -> str:
        """Return the kind of a series."""
        return next(group.kind for group in self._groups if slot in group.slots)

    def batches(self, n_days: int) -> Iterator[NullBatch]:
        """Yield the samples of so many days, from where the last call ended the first time on.

        A fleet can be walked through once: what the series do depends on what they did.
        """
        for start_ms in range(0, n_days * DAY_MS, CHUNK_BATCHES * BATCH_SPAN_MS):
            chunks = [group.draw(START_MS + start_ms) for group in self._groups]
            for k in range(CHUNK_BATCHES):
                yield _batch(START_MS + start_ms + k * BATCH_SPAN_MS, chunks, k)


@dataclass(frozen=True, slots=True)
class _Chunk:
    slots: I32
    ts_ms: I64
    values: F64


@dataclass(frozen=True, slots=True)
class _Group:
    kind: str
    slots: I32
    interval_s: int
    draw_values: Draw

    def draw(self, start_ms: int) -> _Chunk:
        span_ms = CHUNK_BATCHES * BATCH_SPAN_MS
        ts_ms = np.arange(start_ms, start_ms + span_ms, 1000 * self.interval_s, dtype=np.int64)
        return _Chunk(self.slots, ts_ms, self.draw_values(ts_ms / DAY_MS))


def _batch(start_ms: int, chunks: list[_Chunk], k: int) -> NullBatch:
    slots, ts_ms, features = [], [], []
    for chunk in chunks:
        n_rows = len(chunk.ts_ms) // CHUNK_BATCHES
        rows = slice(k * n_rows, (k + 1) * n_rows)
        slots.append(np.repeat(chunk.slots, n_rows))
        ts_ms.append(np.tile(chunk.ts_ms[rows], len(chunk.slots)))
        features.append(chunk.values[:, rows].ravel())
    order = np.argsort(np.concatenate(slots), kind="stable")
    return NullBatch(
        start_ms + BATCH_SPAN_MS,
        np.concatenate(slots)[order],
        np.concatenate(ts_ms)[order],
        np.concatenate(features)[order],
    )
