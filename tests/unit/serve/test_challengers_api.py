"""What is told of challengers over HTTP."""

import asyncio

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from aiops.detect.challenger import Comparison, Tally, WouldBe
from aiops.serve.challengers import ChallengerApi


def answer(*comparisons: Comparison):
    async def read() -> tuple[Comparison, ...]:
        return comparisons

    async def run():
        app = web.Application()
        app.add_routes(ChallengerApi(read).routes())
        async with TestClient(TestServer(app)) as client:
            response = await client.get("/api/v1/challengers")
            return response.status, await response.json()

    return asyncio.run(run())


def test_without_challengers_the_list_is_empty():
    assert answer() == (200, {"challengers": []})


def test_a_challenger_is_told_with_its_counts_and_would_be_anomalies():
    tally = Tally(4, 3.0, n_own_rows=5, n_champion_rows=6, n_shared_rows=2)
    tally.n_own, tally.n_own_shared, tally.n_champion, tally.n_champion_shared = 3, 1, 2, 1
    would_be = WouldBe("up", 1000, 2000, 0, 7.5, is_shared=True)
    status, told = answer(Comparison("trees", tally, (would_be,)))
    assert status == 200
    assert told["challengers"] == [
        {
            "detector": "trees",
            "rows": 4,
            "score_mean": 0.75,
            "rows_anomalous": {"challenger": 5, "champion": 6, "both": 2},
            "anomalies": {"challenger": 3, "champion": 2},
            "anomalies_shared": {"challenger": 1, "champion": 1},
            "would_be": [
                {
                    "series": "up",
                    "onset_ms": 1000,
                    "peak_ms": 2000,
                    "end_ms": 0,
                    "score": 7.5,
                    "is_shared": True,
                }
            ],
        }
    ]
