"""What an anomaly of kind forecast says beside its numbers: which bound is reached, and when."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from aiops.domain.quantity import format_alike, format_exactly

INTERVAL_LEVEL = 0.8
"""Chosen: the interval people are told; nine times in ten the bound is not reached before it."""


@dataclass(frozen=True, slots=True)
class ForecastFacts:
    """When a series reaches a bound if it goes on as it does.

    Parameters
    ----------
    bound, is_above
        What is reached; from below if `is_above`.
    eta_s
        Time from the newest sample until the expected course reaches the bound.
    eta_near_s, eta_far_s
        The same for the ends of the 80 % interval; the far one is infinite where the interval
        never lies wholly beyond the bound.
    slope_per_s
        The present trend, in the unit of the series a second.
    """

    bound: float
    is_above: bool
    eta_s: float
    eta_near_s: float
    eta_far_s: float
    slope_per_s: float


def forecast_text(facts: ForecastFacts, value: float, unit: str) -> str:
    """Return a forecast in words.

    Examples
    --------
    `12 GB, at 0 B in 5 h (80 %: 4 h to 7 h) at the present trend`
    """
    shown = format_alike((value, facts.bound), unit)[0]
    bound = format_exactly(facts.bound, unit)
    if facts.eta_s <= 0.0:
        return f"{shown}, has reached {bound}"
    far = f"to {_span(facts.eta_far_s)}" if math.isfinite(facts.eta_far_s) else "or much later"
    interval = f"{INTERVAL_LEVEL:.0%}".replace("%", " %")
    return (
        f"{shown}, at {bound} in {_span(facts.eta_s)} ({interval}: "
        f"{_span(facts.eta_near_s)} {far}) at the present trend"
    )


def forecast_to_json(facts: ForecastFacts | None) -> dict[str, object] | None:
    """Return the JSON object of the facts, None for an anomaly of another kind.

    An infinite time is null.
    """
    if facts is None:
        return None
    return {
        "bound": facts.bound,
        "is_above": facts.is_above,
        "eta_s": facts.eta_s,
        "eta_near_s": facts.eta_near_s,
        "eta_far_s": facts.eta_far_s if math.isfinite(facts.eta_far_s) else None,
        "slope_per_s": facts.slope_per_s,
    }


def forecast_from_json(data: object) -> ForecastFacts | None:
    """Return the facts that `forecast_to_json` made `data` of; None when there are none.

    Raises
    ------
    KeyError, TypeError
        When it is something else.
    """
    if data is None:
        return None
    if not isinstance(data, Mapping):
        raise TypeError("forecast is not an object")
    far = data["eta_far_s"]
    return ForecastFacts(
        _number(data["bound"]),
        data["is_above"] is True,
        _number(data["eta_s"]),
        _number(data["eta_near_s"]),
        math.inf if far is None else _number(far),
        _number(data["slope_per_s"]),
    )


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is not a number")
    return float(value)


def _span(span_s: float) -> str:
    if span_s < 90:
        return f"{span_s:.0f} s"
    if span_s < 7200:
        return f"{span_s / 60:.0f} min"
    hours = span_s / 3600
    if hours < 48:
        return f"{hours:.0f} h" if hours >= 9.95 else f"{hours:.1f} h".replace(".0 h", " h")
    return f"{hours / 24:.1f} d"
