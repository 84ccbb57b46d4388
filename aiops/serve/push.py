"""The door for Prometheus remote write 1.0: `POST /api/v1/write`.

Status codes follow one rule for all senders: 204 taken, 400 never will be (the good rest is kept),
415 not this format, 503 + Retry-After come again. Nothing is acknowledged before it is durable.
"""

import asyncio
from collections import Counter as Tally

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter

from aiops.clock import Clock
from aiops.config import Config
from aiops.domain.records import MetadataBatch
from aiops.domain.samples import U8, U64, MetricMetadata, SampleBatch
from aiops.errors import (
    AiopsError,
    DecodeError,
    JournalError,
    LimitError,
    OverloadError,
    UnsupportedMediaError,
)
from aiops.journal.base import Journal
from aiops.serve.admission import RETRY_AFTER_S, Admission
from aiops.serve.body import body_size, read_body
from aiops.serve.intake import REASONS, TEMPORARY_REASONS, Intake
from aiops.wire.compress import decompress_snappy
from aiops.wire.remote_write import RemoteWriteDecoder

PATH = "/api/v1/write"
_MEDIA_TYPE = "application/x-protobuf"
_V1_PROTO = "prometheus.writerequest"
_UNREADABLE = "unreadable_body"
"""Counted as one sample; nobody knows how many the body held."""
_WRITTEN = "X-Prometheus-Remote-Write-{}-Written"


class RemoteWriteDoor:
    """Takes remote-write requests to the journal.

    Parameters
    ----------
    config
        Limits on bodies, samples and series.
    secrets
        Four uint64 that key the label hash.
    journal, admission, clock
        Where batches become durable; who may enter; the time of acceptance.
    registry
        Takes the door's own metrics.
    """

    def __init__(
        self,
        config: Config,
        secrets: U64,
        *,
        journal: Journal,
        admission: Admission,
        clock: Clock,
        registry: CollectorRegistry,
    ) -> None:
        self.intake = Intake(config.limits, secrets, clock)
        self._limits = config.limits
        self._body_bytes_max = config.server.body_bytes_max
        self._decoder = RemoteWriteDecoder(secrets)
        self._journal = journal
        self._admission = admission
        self._clock = clock
        self._accepted = Counter(
            "aiops_serve_samples_accepted_total", "Samples made durable.", registry=registry
        )
        self._refused = Counter(
            "aiops_serve_samples_refused_total", "Samples refused.", ["reason"], registry=registry
        )
        self._exemplars = Counter(
            "aiops_serve_exemplars_ignored_total", "Exemplars not kept.", registry=registry
        )
        for reason in (*REASONS, _UNREADABLE):
            self._refused.labels(reason)  # a series must exist before its first increase

    def routes(self) -> list[web.RouteDef]:
        """Return the one route of this door."""
        return [web.post(PATH, self.post)]

    async def post(self, request: web.Request) -> web.Response:
        """Answer one request."""
        tally: Tally[str] = Tally()
        written = n_series = 0
        limits = self._limits
        try:
            _check_media(request)
            with self._admission.hold(body_size(request, bytes_max=self._body_bytes_max)):
                body = await self._read(request)
                for part in self._decoder.slices(body, future_ms=self._future_ms()):
                    n_series += len(part.keys)
                    _check(n_series, limits.series_per_request_max, "limits.series_per_request_max")
                    self._exemplars.inc(part.n_exemplars)
                    metadata = part.metadata
                    accepted = self.intake.accept(body, part)
                    tally += accepted.refused
                    await self._keep(accepted.batch)
                    await self._keep_metadata(metadata)
                    written += len(accepted.batch)
                    _check(
                        written, limits.samples_per_request_max, "limits.samples_per_request_max"
                    )
        except AiopsError as error:
            return self._failure(error, written)
        finally:
            for reason, count in tally.items():
                self._refused.labels(reason).inc(count)
        return _answer(written, tally)

    async def _read(self, request: web.Request) -> U8:
        raw = await read_body(request, bytes_max=self._body_bytes_max)
        return decompress_snappy(raw, bytes_max=self._limits.decompressed_bytes_max)

    async def _keep(self, batch: SampleBatch) -> None:
        if len(batch) == 0 and not batch.new_fingerprints:
            await asyncio.sleep(0)  # let others in: a body may hold many slices without a sample
            return
        is_durable = False
        try:
            await self._journal.append(batch, accepted_ms=self._clock.now_ms())
            is_durable = True
        finally:
            if not is_durable:
                self.intake.withdraw(batch)
        self.intake.confirm(batch)
        self._accepted.inc(len(batch))

    async def _keep_metadata(self, entries: tuple[MetricMetadata, ...]) -> None:
        if entries:
            await self._journal.append(MetadataBatch(entries), accepted_ms=self._clock.now_ms())

    def _future_ms(self) -> int:
        return self._clock.now_ms() + self._limits.future_span_s * 1000

    def _failure(self, error: AiopsError, written: int) -> web.Response:
        if isinstance(error, UnsupportedMediaError):
            return _text(415, str(error), written)
        if isinstance(error, DecodeError | LimitError):
            self._refused.labels(_UNREADABLE).inc()
            return _text(400, str(error), written)
        retry_after_s = error.retry_after_s if isinstance(error, OverloadError) else RETRY_AFTER_S
        if not isinstance(error, OverloadError | JournalError):
            raise error
        return _text(503, str(error), written, retry_after_s=retry_after_s)


def _check(count: int, bound: int, setting: str) -> None:
    """Refuse what is left of a request that holds too much; what was kept before stays kept."""
    if count > bound:
        raise LimitError(f"more than {bound} entries of one kind in a request", setting=setting)


def _check_media(request: web.Request) -> None:
    encoding = request.headers.get("Content-Encoding", "").strip().lower()
    if encoding not in ("snappy", ""):
        raise UnsupportedMediaError(f"Content-Encoding {encoding[:40]}: only snappy is read")
    media_type, _, parameters = request.headers.get("Content-Type", _MEDIA_TYPE).partition(";")
    if media_type.strip().lower() != _MEDIA_TYPE:
        raise UnsupportedMediaError(f"Content-Type {media_type[:60]}: send {_MEDIA_TYPE}")
    for parameter in parameters.lower().split(";"):
        name, _, value = parameter.partition("=")
        # A 2.0 body read as 1.0 is an empty, valid message: it would be acknowledged and lost.
        if name.strip() == "proto" and value.strip(' "') != _V1_PROTO:
            raise UnsupportedMediaError(f"proto={value[:60]}: send prometheus.WriteRequest (1.0)")


def _answer(written: int, refused: Tally[str]) -> web.Response:
    if not refused:
        return web.Response(status=204, headers=_written(written))
    told = ", ".join(f"{count} {reason}" for reason, count in sorted(refused.items()))
    text = f"kept {written} samples, refused: {told}"
    if any(reason in TEMPORARY_REASONS for reason in refused):
        return _text(503, text, written, retry_after_s=RETRY_AFTER_S)
    return _text(400, text, written)


def _text(status: int, text: str, written: int, *, retry_after_s: int = 0) -> web.Response:
    headers = _written(written)
    if retry_after_s:
        headers["Retry-After"] = str(retry_after_s)
    return web.Response(status=status, text=text + "\n", headers=headers)


def _written(n_samples: int) -> dict[str, str]:
    counts = {"Samples": n_samples, "Histograms": 0, "Exemplars": 0}
    return {_WRITTEN.format(kind): str(count) for kind, count in counts.items()}
