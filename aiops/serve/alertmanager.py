"""The door for Alertmanager's webhook: `POST /api/v1/alertmanager`.

Alertmanager sends again on 5xx and gives a delivery up on anything else, so what may pass is 503
and what never will is 400. It is answered 200 once the alerts are in the journal, never before.
"""

import orjson
from aiohttp import web
from prometheus_client import CollectorRegistry, Counter

from aiops.clock import Clock
from aiops.errors import (
    DecodeError,
    JournalError,
    LimitError,
    OverloadError,
    UnsupportedMediaError,
)
from aiops.journal.base import Journal
from aiops.serve.body import read_body
from aiops.wire.alertmanager import REASONS, WebhookAlerts, decode_webhook
from aiops.wire.compress import decompress_gzip

PATH = "/api/v1/alertmanager"

RETRY_AFTER_S = 5
"""Chosen: a journal that failed is either back by then or needs a human."""

BODY_UNREADABLE = "unreadable_body"
"""Reason a whole delivery is rejected for; counted as one, nobody knows how many it held."""


class AlertmanagerDoor:
    """Takes webhook deliveries and writes their alerts to the journal.

    The application must run with `auto_decompress=False`; the door undoes gzip itself, under the
    same ceiling as the body.

    Parameters
    ----------
    journal
        Where alerts become durable.
    clock
        The time of acceptance.
    body_bytes_max
        Largest body, as sent and once more decompressed.
    registry
        Where the door's counters are registered.
    """

    def __init__(
        self, journal: Journal, clock: Clock, body_bytes_max: int, registry: CollectorRegistry
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._body_bytes_max = body_bytes_max
        self._received = Counter(
            "aiops_serve_alerts_received_total",
            "Alerts of webhook deliveries that were written to the journal.",
            registry=registry,
        )
        self._rejected = Counter(
            "aiops_serve_alerts_rejected_total",
            "Alerts of webhook deliveries that were skipped.",
            ["reason"],
            registry=registry,
        )
        self._truncated = Counter(
            "aiops_serve_alerts_truncated_total",
            "Alerts the sender cut off its deliveries; raise max_alerts of its receiver.",
            registry=registry,
        )
        for reason in (*REASONS, BODY_UNREADABLE):
            self._rejected.labels(reason)  # a series must exist before its first increase

    def routes(self) -> list[web.RouteDef]:
        """Return the one route of this door."""
        return [web.post(PATH, self.post)]

    async def post(self, request: web.Request) -> web.Response:
        """Answer one delivery."""
        try:
            decoded = decode_webhook(await self._read(request))
            await self._submit(decoded)
        except UnsupportedMediaError as error:
            return _failure(415, error)
        except (DecodeError, LimitError) as error:
            self._rejected.labels(BODY_UNREADABLE).inc()
            return _failure(400, error)
        except OverloadError as error:
            return _failure(503, error, retry_after_s=error.retry_after_s)
        except JournalError as error:
            return _failure(503, error, retry_after_s=RETRY_AFTER_S)
        accepted = len(decoded.batch.alerts)
        return _answer(200, {"accepted": accepted, "rejected": decoded.n_rejected()})

    async def _submit(self, decoded: WebhookAlerts) -> None:
        """Write the alerts to the journal, then count; a delivery refused comes again."""
        if decoded.batch.alerts:
            await self._journal.append(decoded.batch, accepted_ms=self._clock.now_ms())
        self._received.inc(len(decoded.batch.alerts))
        self._truncated.inc(decoded.truncated)
        for reason, count in decoded.rejected:
            self._rejected.labels(reason).inc(count)

    async def _read(self, request: web.Request) -> bytes:
        """Return the body, decompressed; bounds hold while reading, not after."""
        encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
        if encoding not in ("identity", "gzip", ""):
            raise UnsupportedMediaError(f"Content-Encoding {encoding[:40]}: send gzip or none")
        body = await read_body(request, bytes_max=self._body_bytes_max)
        if encoding == "gzip":
            return decompress_gzip(body, bytes_max=self._body_bytes_max)
        return body


def _failure(status: int, error: Exception, *, retry_after_s: int = 0) -> web.Response:
    response = _answer(status, {"error": str(error)})
    if retry_after_s:
        response.headers["Retry-After"] = str(retry_after_s)
    return response


def _answer(status: int, body: dict[str, object]) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(body), content_type="application/json")
