"""The service's own log and metrics.

Logs are JSON lines on stderr: an event name and its facts, never a sentence. Lines of foreign
libraries pass through the same formatter as `message.logged`. Metrics live in one registry per
service instance, so that two instances in one process do not meet.
"""

import logging
import sys
import traceback
from datetime import UTC, datetime

import orjson
from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    Info,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

from aiops import __version__
from aiops.clock import Clock

FACT_BYTES_MAX = 2048
"""Chosen: a fact longer than this belongs into a file; log shippers cut lines at 16 KiB."""

REASONS_MAX = 32
"""Chosen: reasons remembered by one `LogOnChange`; more kinds of failure at once are one mess."""

_FACTS = "aiops_facts"


def setup_logging(level: str) -> None:
    """Send every log line of the process to stderr as JSON, from `level` on.

    Parameters
    ----------
    level
        `debug`, `info`, `warning` or `error`. Python's warnings are logged too.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.captureWarnings(True)


def log_event(
    logger: logging.Logger,
    level: int,
    event: str,
    /,
    *,
    exc_info: BaseException | None = None,
    **facts: object,
) -> None:
    """Log an event (`incident.opened`) with its facts.

    Parameters
    ----------
    exc_info
        An unexpected error, logged as the facts `error` and `traceback`. An expected one is a
        fact like any other: `error=str(error)`.
    """
    logger.log(level, event, exc_info=exc_info, extra={_FACTS: facts})


class JsonFormatter(logging.Formatter):
    """One log record to one line of JSON; control characters are escaped, long facts cut."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without a newline at its end."""
        event, facts = _event(record)
        fields: dict[str, object] = {
            "ts": _rfc3339(record.created),
            "level": record.levelname.lower(),
            "event": event,
            "logger": record.name,
        }
        for name, value in facts.items():
            fields[f"{name}_" if name in fields else name] = _plain(value)
        if record.exc_info and record.exc_info[1] is not None:
            fields |= _failure(record.exc_info[1])
        return orjson.dumps(fields).decode()


class LogOnChange:
    """Logs a failure when it is new and then at most once an interval; its end is logged once.

    For one thing that may fail over and over: a receiver, a disk, a peer.

    Parameters
    ----------
    clock
        Tells when the interval has passed.
    interval_s
        Shortest time between two lines with the same reason.
    """

    def __init__(self, logger: logging.Logger, clock: Clock, *, interval_s: float = 60.0) -> None:
        self._logger = logger
        self._clock = clock
        self._interval_s = interval_s
        self._logged_at_s: dict[tuple[str, str], float] = {}
        self._n_unlogged = 0

    def failed(self, event: str, reason: str, **facts: object) -> bool:
        """Note a failure; return whether it was logged.

        The line carries `n_unlogged`, the failures since the last line that made none.
        """
        now_s = self._clock.monotonic_s()
        key = (event, reason)
        last_s = self._logged_at_s.get(key)
        if last_s is not None and now_s - last_s < self._interval_s:
            self._n_unlogged += 1
            return False
        self._remember(key, now_s)
        facts = {"reason": reason, **facts, "n_unlogged": self._n_unlogged}
        self._logger.warning(event, extra={_FACTS: facts})
        self._n_unlogged = 0
        return True

    def recovered(self, event: str, **facts: object) -> bool:
        """Note a success; return whether it was logged, which only the first after failure is."""
        if not self._logged_at_s:
            return False
        self._logged_at_s.clear()
        self._logger.info(event, extra={_FACTS: {**facts, "n_unlogged": self._n_unlogged}})
        self._n_unlogged = 0
        return True

    def _remember(self, key: tuple[str, str], now_s: float) -> None:
        self._logged_at_s.pop(key, None)
        if len(self._logged_at_s) >= REASONS_MAX:
            del self._logged_at_s[next(iter(self._logged_at_s))]  # the one logged longest ago
        self._logged_at_s[key] = now_s


class Metrics:
    """The metrics of one service instance; parts register theirs on `registry`."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        Info("aiops_build", "Version of the service.", registry=self.registry).info(
            {"version": __version__}
        )

    def exposition(self) -> bytes:
        """Return all metrics in the Prometheus text format 0.0.4."""
        return generate_latest(self.registry)


def _rfc3339(created_s: float) -> str:
    text = datetime.fromtimestamp(created_s, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def _event(record: logging.LogRecord) -> tuple[str, dict[str, object]]:
    facts: dict[str, object] | None = getattr(record, _FACTS, None)
    if facts is None:
        return "message.logged", {"message": record.getMessage()}
    return record.getMessage(), facts


def _failure(error: BaseException) -> dict[str, object]:
    trace = "".join(traceback.format_exception(error))
    return {
        "error": _plain(f"{type(error).__name__}: {error}"),
        # The end of a traceback tells what failed, so its beginning is what is cut.
        "traceback": _encodable(trace)[-FACT_BYTES_MAX:].decode(errors="ignore"),
    }


def _plain(value: object) -> object:
    """Return the value as JSON can hold it, cut when it is long."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, float):
        return float(value)  # numpy's float64 is one, but not to the encoder
    if isinstance(value, int) and -(2**63) <= value < 2**64:
        return value
    if isinstance(value, str):
        return _cut(value)
    try:
        encoded = orjson.dumps(value, default=str, option=_LENIENT)
    except TypeError:  # orjson.JSONEncodeError: lone surrogates, keys or depth it does not know
        return _cut(repr(value))
    return orjson.loads(encoded) if len(encoded) <= FACT_BYTES_MAX else _cut(encoded.decode())


_LENIENT = orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY


def _cut(text: str) -> str:
    encoded = _encodable(text)
    if len(encoded) <= FACT_BYTES_MAX:
        return encoded.decode()
    return encoded[:FACT_BYTES_MAX].decode(errors="ignore") + "…"


def _encodable(text: str) -> bytes:
    return text.encode(errors="backslashreplace")  # lone surrogates are no UTF-8
