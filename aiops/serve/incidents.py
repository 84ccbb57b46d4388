"""Incidents as flat JSON: reading for people, pages and Grafana; acknowledging and resolving."""

from collections.abc import Awaitable, Callable

import orjson
from aiohttp import web

from aiops.domain.incident import Incident, IncidentState
from aiops.domain.incident_json import incident_to_json
from aiops.domain.records import Command, CommandVerb
from aiops.errors import (
    ConflictError,
    DecodeError,
    JournalError,
    LimitError,
    NotFoundError,
    OverloadError,
    QueryError,
    StoreError,
    UnsupportedMediaError,
)
from aiops.serve.body import read_body
from aiops.store.base import StateAccess

LIMIT_DEFAULT = 100
LIMIT_MAX = 1000
"""Chosen: an incident with much evidence has 100 KiB of JSON; more are read in pages."""

OFFSET_MAX = 1_000_000
"""Chosen: beyond what retention keeps."""

BODY_BYTES_MAX = 4096
"""Chosen: a name and a remark."""

AUTHOR_CHARS_MAX = 200
COMMENT_CHARS_MAX = 2000

RETRY_AFTER_S = 5
"""Chosen: as the other doors say when store or journal cannot write."""

AUTHOR_DEFAULT = "operator"

Answer = Callable[[web.Request], Awaitable[web.Response]]


class IncidentApi:
    """Serves `/api/v1/incidents` and the operator's two commands.

    Parameters
    ----------
    state
        Where incidents are read, and how that is done off the event loop.
    submit
        Takes a command; returns when it is journalled and applied, so that reading again shows
        its effect. May raise NotFoundError, ConflictError, OverloadError, JournalError.
    """

    def __init__(self, state: StateAccess, submit: Callable[[Command], Awaitable[None]]) -> None:
        self._state = state
        self._submit = submit

    def routes(self) -> list[web.RouteDef]:
        """Return the routes to mount."""
        one = "/api/v1/incidents/{incident_id}"
        return [
            web.get("/api/v1/incidents", _answering(self._list)),
            web.get(one, _answering(self._one)),
            web.post(f"{one}/ack", _answering(self._acknowledge)),
            web.post(f"{one}/resolve", _answering(self._resolve)),
        ]

    async def _list(self, request: web.Request) -> web.Response:
        states = _states(request.query.getall("state", []))
        limit = _whole(request, "limit", default=LIMIT_DEFAULT, least=1, most=LIMIT_MAX)
        offset = _whole(request, "offset", default=0, least=0, most=OFFSET_MAX)
        store = self._state.store
        found = await self._state.run(lambda: store.incidents(states, limit=limit, offset=offset))
        incidents = [incident_to_json(incident) for incident in found]
        return _json({"incidents": incidents, "limit": limit, "offset": offset})

    async def _one(self, request: web.Request) -> web.Response:
        return _json(incident_to_json(await self._read(request)))

    async def _acknowledge(self, request: web.Request) -> web.Response:
        return await self._command(request, CommandVerb.ACKNOWLEDGE)

    async def _resolve(self, request: web.Request) -> web.Response:
        return await self._command(request, CommandVerb.RESOLVE)

    async def _command(self, request: web.Request, verb: CommandVerb) -> web.Response:
        author, comment = await _remark(request)
        incident = await self._read(request)
        if incident.state is IncidentState.RESOLVED:
            raise ConflictError(f"incident {incident.incident_id} is resolved already")
        await self._submit(Command(verb, incident.incident_id, author, comment))
        return _json(incident_to_json(await self._read(request)))

    async def _read(self, request: web.Request) -> Incident:
        store, incident_id = self._state.store, request.match_info["incident_id"]
        return await self._state.run(lambda: store.incident(incident_id))


def _answering(handler: Answer) -> Answer:
    """Return the handler with our errors turned into JSON answers."""

    async def answer(request: web.Request) -> web.Response:
        try:
            return await handler(request)
        except (OverloadError, JournalError, StoreError) as error:
            wait_s = error.retry_after_s if isinstance(error, OverloadError) else RETRY_AFTER_S
            return _json({"error": str(error)}, 503, {"Retry-After": str(wait_s)})
        except tuple(_STATUS) as error:
            status = next(code for kind, code in _STATUS.items() if isinstance(error, kind))
            return _json({"error": str(error)}, status)

    return answer


_STATUS: dict[type[Exception], int] = {
    UnsupportedMediaError: 415,  # before its base DecodeError
    DecodeError: 400,
    QueryError: 400,
    NotFoundError: 404,
    ConflictError: 409,
}


def _json(
    data: dict[str, object], status: int = 200, headers: dict[str, str] | None = None
) -> web.Response:
    return web.Response(
        body=orjson.dumps(data),
        status=status,
        content_type="application/json",
        headers={"X-Content-Type-Options": "nosniff"} | (headers or {}),
    )


def _states(texts: list[str]) -> tuple[IncidentState, ...]:
    """Return the states asked for: `state=open,acknowledged` or several `state=`; () for all."""
    names = [name.strip() for text in texts for name in text.split(",") if name.strip()]
    allowed = {state.value: state for state in IncidentState}
    for name in names:
        if name not in allowed:
            raise QueryError(f"state {name!r} is not one of {', '.join(allowed)}")
    return tuple(state for state in IncidentState if state.value in names)


def _whole(request: web.Request, name: str, *, default: int, least: int, most: int) -> int:
    text = request.query.get(name, str(default))
    is_number = text.isascii() and text.isdigit() and len(text) <= 18
    if not is_number or not least <= int(text) <= most:
        raise QueryError(f"{name} {text!r} is not a whole number from {least} to {most}")
    return int(text)


async def _remark(request: web.Request) -> tuple[str, str]:
    """Return author and comment of a command's optional JSON body."""
    if "Content-Encoding" in request.headers:
        raise UnsupportedMediaError("send the body without Content-Encoding")
    try:
        body = await read_body(request, bytes_max=BODY_BYTES_MAX)
    except LimitError as error:
        raise DecodeError(f"the body is larger than {BODY_BYTES_MAX} bytes") from error
    if not body:
        return AUTHOR_DEFAULT, ""
    if request.content_type != "application/json":
        raise UnsupportedMediaError("send the body as application/json")
    fields = _object(body)
    if unknown := sorted(set(fields) - {"author", "comment"}):
        raise DecodeError(f"{unknown[0]!r} is not a field; there are author and comment")
    author = _text(fields, "author", AUTHOR_CHARS_MAX).strip() or AUTHOR_DEFAULT
    return author, _text(fields, "comment", COMMENT_CHARS_MAX)


def _object(body: bytes) -> dict[str, object]:
    try:
        data: object = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise DecodeError(f"the body is not JSON: {error.msg}", offset=error.pos) from error
    if not isinstance(data, dict):
        raise DecodeError("the body is not a JSON object with author and comment")
    return data


def _text(fields: dict[str, object], name: str, chars_max: int) -> str:
    value = fields.get(name, "")
    if not isinstance(value, str) or len(value) > chars_max:
        raise DecodeError(f"{name} is not a text of at most {chars_max} characters")
    if any(not char.isprintable() and char not in "\n\t" for char in value):
        raise DecodeError(f"{name} holds control characters")
    return value
