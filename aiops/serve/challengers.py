"""Challengers as flat JSON: how far each agrees with the detectors that decide."""

from collections.abc import Awaitable, Callable
from dataclasses import asdict

import orjson
from aiohttp import web

from aiops.detect.challenger import Comparison


class ChallengerApi:
    """Serves `/api/v1/challengers`.

    Parameters
    ----------
    read
        Returns the comparisons, of one moment.
    """

    def __init__(self, read: Callable[[], Awaitable[tuple[Comparison, ...]]]) -> None:
        self._read = read

    def routes(self) -> list[web.RouteDef]:
        """Return the routes to mount."""
        return [web.get("/api/v1/challengers", self._list)]

    async def _list(self, request: web.Request) -> web.Response:  # noqa: ARG002  # aiohttp's form
        found = await self._read()
        return web.Response(
            body=orjson.dumps({"challengers": [comparison_to_json(each) for each in found]}),
            content_type="application/json",
            headers={"X-Content-Type-Options": "nosniff"},
        )


def comparison_to_json(comparison: Comparison) -> dict[str, object]:
    """Return the JSON object of a comparison; counts are since the challenger began."""
    tally = comparison.tally
    return {
        "detector": comparison.name,
        "rows": tally.n_rows,
        "score_mean": tally.score_mean,
        "rows_anomalous": {
            "challenger": tally.n_own_rows,
            "champion": tally.n_champion_rows,
            "both": tally.n_shared_rows,
        },
        "anomalies": {"challenger": tally.n_own, "champion": tally.n_champion},
        "anomalies_shared": {
            "challenger": tally.n_own_shared,
            "champion": tally.n_champion_shared,
        },
        "would_be": [asdict(would_be) for would_be in comparison.would_be],
    }
