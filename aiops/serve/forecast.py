"""Forecasts as flat JSON: what is expected of a few series, with intervals."""

import math
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Protocol

import orjson
from aiohttp import web

from aiops.domain.matchers import Matchers
from aiops.domain.samples import F64
from aiops.domain.selector import parse_selector
from aiops.errors import QueryError
from aiops.forecast_watch import SeriesForecast
from aiops.serve.prometheus_params import (
    NS_PER_MS,
    Params,
    duration_param,
    invalid,
    limit_param,
    read_params,
)

SERIES_MAX = 100
"""Chosen: more nobody looks at at once, and the engine answers these in some 50 ms."""

POINTS_MAX = 300
POINTS = 60
"""Chosen: a point every six minutes of six hours is as fine as a forecast gets."""

HORIZON_MS = 21_600_000
HORIZON_MS_MAX = 2_592_000_000
"""Chosen: 30 days; a month ahead intervals of a series with a trend say nothing any more."""


@dataclass(frozen=True, slots=True)
class ForecastQuestion:
    """Which series are asked for, and which times: `n_points`, each a step after the one before."""

    matchers: Matchers
    step_ms: int
    n_points: int
    series_max: int


class ForecastReader(Protocol):
    """Answers a question, of one moment."""

    def __call__(
        self, matchers: Matchers, *, step_ms: int, n_points: int, series_max: int
    ) -> Awaitable[tuple[Sequence[SeriesForecast], int]]:
        """Return the forecasts of the first series that match, and how many match."""


class ForecastApi:
    """Serves `/api/v1/forecast`.

    Parameters
    ----------
    read
        Answers a question, of one moment.
    """

    def __init__(self, read: ForecastReader) -> None:
        self._read = read

    def routes(self) -> list[web.RouteDef]:
        """Return the routes to mount."""
        return [web.get("/api/v1/forecast", self._forecast)]

    async def _forecast(self, request: web.Request) -> web.Response:
        try:
            asked = forecast_question(await read_params(request))
            found, n_matched = await self._read(
                asked.matchers,
                step_ms=asked.step_ms,
                n_points=asked.n_points,
                series_max=asked.series_max,
            )
        except QueryError as error:
            return _json({"error": str(error)}, 400)
        told = [forecast_to_json(each) for each in found]
        return _json({"forecasts": told, "series_matched": n_matched}, 200)


def forecast_question(params: Params) -> ForecastQuestion:
    """Return what is asked: `match`, and if given `horizon`, `step` and `limit`.

    Raises
    ------
    QueryError
        When a parameter is missing, cannot be read, or asks for too much.
    """
    text = params.first("match")
    if not text:
        raise invalid("match", 'a selector is missing, for example {__name__="up"}')
    matchers = parse_selector(text)
    horizon_ms = _span_ms(params, "horizon", HORIZON_MS)
    if horizon_ms > HORIZON_MS_MAX:
        raise invalid("horizon", "30d is the most")
    step_ms = _span_ms(params, "step", max(horizon_ms // POINTS, 1))
    n_points = max(horizon_ms // step_ms, 1)
    if n_points > POINTS_MAX:
        raise invalid("step", f"{n_points} points, {POINTS_MAX} are the most; use a larger step")
    limit = limit_param(params) or SERIES_MAX
    return ForecastQuestion(matchers, step_ms, n_points, min(limit, SERIES_MAX))


def forecast_to_json(each: SeriesForecast) -> dict[str, object]:
    """Return the JSON object of a forecast; numbers that JSON cannot spell are null."""
    forecast = each.forecast
    intervals = zip(forecast.levels, forecast.lower, forecast.upper, strict=True)
    return {
        "series": dict(each.labels),
        "unit": each.unit,
        "is_learnt": forecast.is_learnt,
        "ts_ms": forecast.ts_ms.tolist(),
        "expected": _numbers(forecast.expected),
        "intervals": [
            {"level": level, "lower": _numbers(lower), "upper": _numbers(upper)}
            for level, lower, upper in intervals
        ],
    }


def _span_ms(params: Params, name: str, default_ms: int) -> int:
    ns = duration_param(params, name)
    if ns is None:
        return default_ms
    if ns < NS_PER_MS:
        raise invalid(name, "a time above zero is needed")
    return ns // NS_PER_MS


def _numbers(values: F64) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in values.tolist()]


def _json(body: dict[str, object], status: int) -> web.Response:
    return web.Response(
        body=orjson.dumps(body),
        status=status,
        content_type="application/json",
        headers={"X-Content-Type-Options": "nosniff"},
    )
