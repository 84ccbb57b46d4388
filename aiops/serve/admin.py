"""The service about itself: health, readiness, metrics."""

from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

_EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must hold; `problem` returns what is wrong, "" when nothing is."""

    name: str
    problem: Callable[[], str]


class AdminApi:
    """`/-/healthy`, `/-/ready` and `/metrics`.

    Parameters
    ----------
    checks
        Conditions of readiness.
    exposition
        Returns the metrics in Prometheus' text format.
    """

    def __init__(self, checks: tuple[Check, ...], exposition: Callable[[], bytes]) -> None:
        self._checks = checks
        self._exposition = exposition

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.get("/-/healthy", self._healthy),
            web.get("/-/ready", self._ready),
            web.get("/metrics", self._metrics),
        ]

    def problems(self) -> list[str]:
        """Return what keeps the service from being ready."""
        found = [(check.name, check.problem()) for check in self._checks]
        return [f"{name}: {problem}" for name, problem in found if problem]

    async def _healthy(self, request: web.Request) -> web.Response:  # noqa: ARG002  # aiohttp's form
        return web.Response(text="aiops is healthy\n")

    async def _ready(self, request: web.Request) -> web.Response:  # noqa: ARG002  # aiohttp's form
        problems = self.problems()
        if problems:
            return web.Response(status=503, text="not ready\n" + "\n".join(problems) + "\n")
        return web.Response(text="aiops is ready\n")

    async def _metrics(self, request: web.Request) -> web.Response:  # noqa: ARG002  # aiohttp's form
        return web.Response(body=self._exposition(), headers={"Content-Type": _EXPOSITION})
