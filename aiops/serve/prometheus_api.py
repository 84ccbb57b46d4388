"""The Prometheus HTTP API for Grafana, promtool and scripts; reading only."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

from aiohttp import web

from aiops.clock import Clock
from aiops.domain.incident import Incident, IncidentState
from aiops.domain.labels import labels_from
from aiops.domain.matchers import Matchers
from aiops.domain.selector import parse_expression
from aiops.errors import QueryError
from aiops.query import (
    Encoded,
    Fetched,
    Node,
    Plan,
    ValueType,
    Window,
    encode_instant,
    encode_range,
    evaluate,
    parse_query,
    plan_query,
    value_type,
)
from aiops.query.tree import TIME_MS_MAX
from aiops.query.values import Scalar, Value, Vector, check_samples
from aiops.serve.prometheus_answers import Handler, plain, success, with_envelope
from aiops.serve.prometheus_params import (
    NS_PER_S,
    Params,
    duration_param,
    invalid,
    label_name_param,
    limit_param,
    matcher_sets_param,
    range_window,
    read_params,
    time_param,
)
from aiops.serve.prometheus_series import SeriesLookup, SeriesQuestion
from aiops.store.base import IncidentReader, SeriesReader

QUERY_TIMEOUT_NS = 120 * NS_PER_S
"""Prometheus' default query.timeout; a request may ask for less, never for more."""

SEMANTICS_VERSION = "3.0.0"
"""The Prometheus whose evaluation we follow (left-open ranges); Grafana picks calls by it."""

_DOCUMENTED_TYPE = {ValueType.MATRIX: "range vector", ValueType.STRING: "string"}


class PrometheusApi:
    """Serves the reading part of Prometheus' API over stored and derived series.

    Parameters
    ----------
    reader
        Where series and rows come from.
    incidents
        Where `aiops_incident_open` and `/api/v1/alerts` come from.
    clock
        The time of queries that name none.
    version
        Our own version, told in `buildinfo`.
    """

    def __init__(
        self, reader: SeriesReader, incidents: IncidentReader, clock: Clock, version: str
    ) -> None:
        self._reader = reader
        self._incidents = incidents
        self._clock = clock
        self._version = version
        self._lookup = SeriesLookup(reader, incidents)

    def routes(self) -> list[web.RouteDef]:
        """Return the routes, a catch-all for the rest of `/api/v1/` as the last of them."""
        forms: dict[str, Handler] = {
            "query": self._query,
            "query_range": self._query_range,
            "query_exemplars": self._exemplars,
            "series": self._series,
            "labels": self._label_names,
        }
        reads: dict[str, Handler] = {
            "label/{name}/values": self._label_values,
            "metadata": self._metadata,
            "rules": self._rules,
            "alerts": self._alerts,
            "status/buildinfo": self._buildinfo,
        }
        routes: list[web.RouteDef] = []
        for path, handler in forms.items():
            guarded = with_envelope(handler)
            routes += [
                web.get(f"/api/v1/{path}", guarded),
                web.post(f"/api/v1/{path}", guarded),
            ]
        routes += [web.get(f"/api/v1/{path}", with_envelope(reads[path])) for path in reads]
        return [*routes, web.route("*", "/api/v1/{tail:.*}", _no_such_route)]

    async def _query(self, request: web.Request) -> web.Response:
        params = await read_params(request)
        at_ms = time_param(params, "time", self._clock.now_ms())
        timeout_s = _timeout_s(params)
        limit = limit_param(params)
        tree = _parsed(params)

        def encode(value: Value) -> Encoded:
            return encode_instant(value, at_ms, limit=limit)

        return await self._answer(tree, Window(at_ms, at_ms), timeout_s, encode)

    async def _query_range(self, request: web.Request) -> web.Response:
        params = await read_params(request)
        window = range_window(params)
        timeout_s = _timeout_s(params)
        limit = limit_param(params)
        tree = _parsed(params)
        if documented := _DOCUMENTED_TYPE.get(value_type(tree)):
            raise QueryError(
                f'invalid expression type "{documented}" for range query, '
                "must be Scalar or instant Vector"
            )

        def encode(value: Value) -> Encoded:
            assert isinstance(value, Scalar | Vector)
            return encode_range(value, window.times_ms(), limit=limit)

        return await self._answer(tree, window, timeout_s, encode)

    async def _answer(
        self, tree: Node, window: Window, timeout_s: float, encode: Callable[[Value], Encoded]
    ) -> web.Response:
        """Fetch on the event loop, then evaluate and encode on a worker thread."""
        if timeout_s <= 0:
            raise TimeoutError
        async with asyncio.timeout(timeout_s):
            fetched = await self._fetched(plan_query(tree, window))
            encoded = await asyncio.to_thread(lambda: encode(evaluate(tree, window, fetched)))
        return success(encoded.data, is_cut=encoded.is_cut)

    async def _fetched(self, plan: Plan) -> Fetched:
        rows = {}
        n_rows = 0
        for fetch in plan.rows:
            rows[fetch] = await self._reader.rows(
                fetch.matchers, start_ms=fetch.start_ms, end_ms=fetch.end_ms
            )
            n_rows += sum(len(one.ts_ms) for one in rows[fetch])
            check_samples(n_rows)
        incidents: list[Incident] = []
        if plan.incidents_ms:
            incidents = await self._incidents.incidents_between(*plan.incidents_ms)
        return Fetched(rows, incidents)

    async def _exemplars(self, request: web.Request) -> web.Response:
        """Answer that there are none: Grafana asks at start-up whether the call exists."""
        params = await read_params(request)
        start_ms = time_param(params, "start", -TIME_MS_MAX)
        if time_param(params, "end", TIME_MS_MAX) < start_ms:
            raise QueryError("end timestamp must not be before start timestamp")
        parse_expression(params.first("query"))
        return success([])

    async def _series(self, request: web.Request) -> web.Response:
        params = await read_params(request)
        if not params.all("match[]"):
            raise QueryError("no match[] parameter provided")
        try:
            matcher_sets = matcher_sets_param(params)
        except QueryError as error:
            raise invalid("match[]", error) from error
        found = await self._lookup.series(_question(params, matcher_sets))
        return _limited([dict(labels) for labels in found], limit_param(params))

    async def _label_names(self, request: web.Request) -> web.Response:
        params = await read_params(request)
        names = await self._lookup.label_names(_question(params, matcher_sets_param(params)))
        return _limited(names, limit_param(params))

    async def _label_values(self, request: web.Request) -> web.Response:
        name = label_name_param(request.match_info["name"])
        params = await read_params(request)
        values = await self._lookup.label_values(
            name, _question(params, matcher_sets_param(params))
        )
        return _limited(values, limit_param(params))

    async def _metadata(self, request: web.Request) -> web.Response:
        params = await read_params(request)
        try:
            limit = limit_param(params)
        except QueryError as error:
            raise QueryError("limit must be a number") from error
        families: dict[str, list[dict[str, str]]] = {}
        for one in await self._reader.metadata():
            if params.first("metric") in ("", one.family):
                entry = {"type": one.kind, "help": one.help, "unit": one.unit}
                families.setdefault(one.family, []).append(entry)
        kept = sorted(families)[: limit or None]
        return success({family: families[family] for family in kept})

    async def _rules(self, _: web.Request) -> web.Response:
        return success({"groups": []})

    async def _alerts(self, _: web.Request) -> web.Response:
        now_ms = self._clock.now_ms()
        incidents = await self._incidents.incidents_between(now_ms, now_ms)
        alerts = [_alert(one) for one in incidents if one.state is not IncidentState.RESOLVED]
        return success({"alerts": alerts})

    async def _buildinfo(self, _: web.Request) -> web.Response:
        """Answer as Prometheus: a field `features` would make Grafana see Mimir."""
        build = {"version": SEMANTICS_VERSION, "revision": f"aiops {self._version}"}
        empty = dict.fromkeys(("branch", "buildUser", "buildDate", "goVersion"), "")
        return success(build | empty)


async def _no_such_route(request: web.Request) -> web.Response:
    """Answer 405 when another route has this path, else 404; both in plain text."""
    own = request.match_info.route.resource
    allowed: set[str] = set()
    for resource in request.app.router.resources():
        if resource is not own:
            allowed |= (await resource.resolve(request))[1]
    if allowed:
        return plain(405, "Method Not Allowed\n", allow=", ".join(sorted(allowed)))
    return plain(404, "404 page not found\n")


def _parsed(params: Params) -> Node:
    try:
        return parse_query(params.first("query"))
    except QueryError as error:
        raise invalid("query", error) from error


def _timeout_s(params: Params) -> float:
    asked_ns = duration_param(params, "timeout")
    return min(QUERY_TIMEOUT_NS if asked_ns is None else asked_ns, QUERY_TIMEOUT_NS) / NS_PER_S


def _question(params: Params, matcher_sets: tuple[Matchers, ...]) -> SeriesQuestion:
    start_ms = time_param(params, "start", -TIME_MS_MAX)
    return SeriesQuestion(matcher_sets, start_ms, time_param(params, "end", TIME_MS_MAX))


def _limited(items: list[dict[str, str]] | list[str], limit: int) -> web.Response:
    is_cut = 0 < limit < len(items)
    return success(items[:limit] if is_cut else items, is_cut=is_cut)


def _alert(incident: Incident) -> dict[str, object]:
    own = {
        "alertname": incident.title,
        "incident_id": incident.incident_id,
        "severity": incident.severity.value,
    }
    opened = datetime.fromtimestamp(incident.opened_ms / 1000, UTC)
    return {
        "labels": dict(labels_from(dict(incident.labels) | own)),
        "annotations": {"summary": incident.title},
        "state": "firing",
        "activeAt": opened.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "value": "1e+00",
    }
