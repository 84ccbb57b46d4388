"""Seeded series that cannot leave 0..1: availability, utilisation, ratios of few or many."""

from collections.abc import Callable

import numpy as np

from aiops.domain.samples import F64

MINUTES_PER_DAY = 1440

Kind = Callable[[np.random.Generator, int, int], F64]
"""Gives minutes x series of values."""


def steady_one(_rng: np.random.Generator, n_minutes: int, n_series: int) -> F64:
    """Availability that is always whole."""
    return np.ones((n_minutes, n_series))


def dipping(rng: np.random.Generator, n_minutes: int, n_series: int) -> F64:
    """Availability that drops to 0.97 for a single minute, about once in 33 hours."""
    return np.where(rng.random((n_minutes, n_series)) < 1 / 2000, 0.97, 1.0)


def many_requests(rng: np.random.Generator, n_minutes: int, n_series: int) -> F64:
    """Share of 2,000 to 10,000 requests a minute that succeed, by day and night; 0.2 % fail."""
    n = rng.poisson(np.round(6000 + 4000 * _day(n_minutes))[:, None], (n_minutes, n_series))
    return 1.0 - rng.binomial(n, 0.002) / n


def few_errors(rng: np.random.Generator, n_minutes: int, n_series: int) -> F64:
    """Share of 20 to 200 requests a minute that fail, one in 2,000: mostly 0."""
    n = 1 + rng.poisson(110 + 90 * _day(n_minutes)[:, None], (n_minutes, n_series))
    return rng.binomial(n, 0.0005) / n


def few_requests(rng: np.random.Generator, n_minutes: int, n_series: int) -> F64:
    """Share of one to twenty requests a minute that fail, one in fifty: 1 of 2 at night."""
    n = 1 + rng.poisson(10 + 9 * _day(n_minutes)[:, None], (n_minutes, n_series))
    return rng.binomial(n, 0.02) / n


def saturated(rng: np.random.Generator, n_minutes: int, n_series: int) -> F64:
    """Utilisation that lies at its bound half of the time."""
    return np.minimum(1.0, 1.0 + 0.03 * rng.normal(size=(n_minutes, n_series)))


def daily(rng: np.random.Generator, n_minutes: int, n_series: int) -> F64:
    """Utilisation by day and night that touches 0 at night."""
    noise = 0.03 * rng.normal(size=(n_minutes, n_series))
    return np.clip(0.35 + 0.35 * _day(n_minutes)[:, None] + noise, 0.0, 1.0)


def jittering(rng: np.random.Generator, n_minutes: int, n_series: int) -> F64:
    """A ratio of sums of floats: 1 but for the last bits."""
    return 1.0 - 1e-12 * rng.integers(0, 5, (n_minutes, n_series))


KINDS: dict[str, Kind] = {
    kind.__name__: kind
    for kind in (
        steady_one,
        dipping,
        many_requests,
        few_errors,
        few_requests,
        saturated,
        daily,
        jittering,
    )
}


def _day(n_minutes: int) -> F64:
    """Return -1 at three in the morning and 1 at three in the afternoon, UTC."""
    minutes = np.arange(n_minutes) - 180.0
    curve: F64 = -np.cos(2 * np.pi * minutes / MINUTES_PER_DAY)
    return curve
