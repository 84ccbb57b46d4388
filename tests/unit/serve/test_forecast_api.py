"""Forecasts over HTTP: what is asked, what is answered, what is refused."""

import asyncio

import numpy as np
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from aiops.detect.forecast import Forecast
from aiops.domain.labels import labels_from
from aiops.forecast_watch import SeriesForecast
from aiops.serve.forecast import ForecastApi

DISK = SeriesForecast(
    labels_from({"__name__": "disk", "instance": "a"}),
    "B",
    Forecast(
        np.array([1000, 2000], np.int64),
        np.array([5.0, 4.0]),
        (0.8,),
        np.array([[4.0, -np.inf]]),
        np.array([[6.0, np.inf]]),
        is_learnt=True,
    ),
)


def answer(query: str, *found: SeriesForecast):
    """Return status, body and what the reader was asked."""
    asked = []

    async def read(matchers, *, step_ms: int, n_points: int, series_max: int):
        asked.append((matchers, step_ms, n_points, series_max))
        return found, len(found)

    async def run():
        app = web.Application()
        app.add_routes(ForecastApi(read).routes())
        async with TestClient(TestServer(app)) as client:
            response = await client.get("/api/v1/forecast?" + query)
            return response.status, await response.json()

    status, body = asyncio.run(run())
    return status, body, asked


def test_a_forecast_is_told_with_its_intervals():
    status, body, _ = answer("match=disk", DISK)
    assert status == 200
    assert body == {
        "series_matched": 1,
        "forecasts": [
            {
                "series": {"__name__": "disk", "instance": "a"},
                "unit": "B",
                "is_learnt": True,
                "ts_ms": [1000, 2000],
                "expected": [5.0, 4.0],
                "intervals": [{"level": 0.8, "lower": [4.0, None], "upper": [6.0, None]}],
            }
        ],
    }


def test_six_hours_in_sixty_points_of_a_hundred_series_unless_told_otherwise():
    _, _, asked = answer("match=disk")
    assert asked[0][1:] == (360_000, 60, 100)


def test_horizon_step_and_limit_are_heeded():
    _, _, asked = answer("match=disk&horizon=1h&step=10m&limit=3")
    assert asked[0][1:] == (600_000, 6, 3)


def test_no_more_series_are_read_than_there_may_be():
    _, _, asked = answer("match=disk&limit=100000")
    assert asked[0][3] == 100


@pytest.mark.parametrize(
    "query",
    [
        "",
        "match=",
        "match={",
        "match=disk&horizon=soon",
        "match=disk&horizon=31d",
        "match=disk&horizon=0",
        "match=disk&horizon=-1",
        "match=disk&horizon=1d&step=1s",
        "match=disk&limit=-1",
    ],
)
def test_a_bad_question_is_refused_and_not_read(query):
    status, body, asked = answer(query)
    assert status == 400
    assert body["error"]
    assert not asked
