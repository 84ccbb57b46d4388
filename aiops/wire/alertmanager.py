"""Alertmanager's webhook, version 4: a JSON body to alerts, each judged by its own status.

The group's status says "firing" as long as one member fires, and alerts cut off by `max_alerts`
are simply absent, so neither is evidence about an alert. Teams template the whole payload: unknown
fields are ignored, and of the known ones only `alerts` and an alert's labels must be there.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from aiops.domain.alert import Alert, is_own_alert
from aiops.domain.labels import Labels, labels_from
from aiops.domain.records import AlertBatch
from aiops.errors import DecodeError

ALERTS_MAX = 10_000
"""Chosen: alerts read of one delivery; Alertmanager itself rarely groups beyond a thousand."""

LABELS_MAX = 64
"""Chosen: labels of one alert, several times what rules in use carry."""

TEXT_BYTES_MAX = 4096
"""Chosen: longest name or value of a label; annotations are cut here, for a long text must not
cost the alert that carries it."""

FINGERPRINT_CHARS_MAX = 64
"""Chosen: Alertmanager's has 16 digits, others hash longer; anything beyond is no fingerprint."""

REASONS = (
    "not_an_object",
    "bad_status",
    "bad_time",
    "bad_labels",
    "no_labels",
    "too_many_labels",
    "label_too_long",
    "own_alert",
    "duplicate",
    "too_many_alerts",
)
"""Every reason an alert can be rejected for."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)


class _RejectedError(Exception):
    """One alert cannot be used; its text is the reason."""


@dataclass(frozen=True, slots=True)
class WebhookAlerts:
    """What one delivery held.

    `rejected` counts skipped alerts by reason, sorted; `truncated` is how many the sender says it
    cut off before sending.
    """

    batch: AlertBatch
    rejected: tuple[tuple[str, int], ...]
    truncated: int = 0

    def n_rejected(self) -> int:
        """Return how many alerts were skipped for any reason."""
        return sum(count for _, count in self.rejected)


def decode_webhook(body: bytes) -> WebhookAlerts:
    """Return the usable alerts of a delivery, without repeats, and counts of the others.

    Raises
    ------
    DecodeError
        When the body is not JSON, or has no list of alerts.
    """
    payload = _load(body)
    if not isinstance(payload, dict) or not isinstance(payload.get("alerts", False), list | None):
        raise DecodeError("not an Alertmanager webhook: no list of alerts")
    items: list[object] = payload["alerts"] or []
    group_key = _cut(payload.get("groupKey"))
    rejected: Counter[str] = Counter()
    found: dict[tuple[str, bool, int], Alert] = {}
    for item in items[:ALERTS_MAX]:
        try:
            alert = _alert(item, group_key)
        except _RejectedError as reason:
            rejected[str(reason)] += 1
            continue
        known = found.setdefault((alert.fingerprint, alert.is_firing, alert.starts_at_ms), alert)
        rejected["duplicate"] += known is not alert
    rejected["too_many_alerts"] = max(len(items) - ALERTS_MAX, 0)
    counts = tuple(sorted((reason, n) for reason, n in rejected.items() if n))
    return WebhookAlerts(AlertBatch(tuple(found.values())), counts, _count(payload))


def fingerprint_of(labels: Labels) -> str:
    """Return 16 hex digits that stand for a label set, the same on every machine and run."""
    digest = hashlib.blake2b(digest_size=8)
    for text in (part for pair in labels for part in pair):
        encoded = text.encode()
        digest.update(len(encoded).to_bytes(4, "big") + encoded)
    return digest.hexdigest()


def _load(body: bytes) -> Any:  # noqa: ANN401 - foreign JSON, turned into records by the caller
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise DecodeError(f"not JSON: {error.msg}", offset=_offset(body, error)) from error


def _offset(body: bytes, error: orjson.JSONDecodeError) -> int:
    """Return the first bad byte; the parser counts characters, and none in broken UTF-8."""
    try:
        return len(body.decode()[: error.pos].encode())
    except UnicodeDecodeError as broken:
        return broken.start


def _alert(item: object, group_key: str) -> Alert:
    if not isinstance(item, dict):
        raise _RejectedError("not_an_object")
    labels = _labels(item.get("labels"))
    if is_own_alert(labels):
        raise _RejectedError("own_alert")
    ends_at_ms = _time_ms(item.get("endsAt"))
    is_firing = _is_firing(item.get("status"), ends_at_ms)
    return Alert(
        fingerprint=_fingerprint(item.get("fingerprint"), labels),
        labels=labels,
        annotations=_annotations(item.get("annotations")),
        is_firing=is_firing,
        starts_at_ms=_time_ms(item.get("startsAt")),
        ends_at_ms=0 if is_firing else ends_at_ms,
        generator_url=_cut(item.get("generatorURL")),
        group_key=group_key,
    )


def _fingerprint(told: object, labels: Labels) -> str:
    if isinstance(told, str) and 0 < len(told) <= FINGERPRINT_CHARS_MAX:
        return told
    return fingerprint_of(labels)


def _is_firing(status: object, ends_at_ms: int) -> bool:
    if status is None:
        return ends_at_ms == 0
    if status not in ("firing", "resolved"):
        raise _RejectedError("bad_status")
    return status == "firing"


def _labels(pairs: object) -> Labels:
    if pairs is None:
        raise _RejectedError("no_labels")
    if not isinstance(pairs, dict) or not all(isinstance(text, str) for text in pairs.values()):
        raise _RejectedError("bad_labels")
    if len(pairs) > LABELS_MAX:
        raise _RejectedError("too_many_labels")
    if any(_is_long(name) or _is_long(value) for name, value in pairs.items()):
        raise _RejectedError("label_too_long")
    labels = labels_from(pairs)
    if not labels:
        raise _RejectedError("no_labels")
    return labels


def _annotations(pairs: object) -> Labels:
    if not isinstance(pairs, dict):
        return ()
    texts = ((name, text) for name, text in pairs.items() if isinstance(text, str))
    kept = [(name, _cut(text)) for name, text in texts if not _is_long(name)]
    return labels_from(dict(kept[:LABELS_MAX]))


def _is_long(text: str) -> bool:
    # a character has one to four bytes, so most texts need not be encoded to be judged
    return len(text) * 4 > TEXT_BYTES_MAX and len(text.encode()) > TEXT_BYTES_MAX


def _cut(text: object) -> str:
    if not isinstance(text, str):
        return ""
    if not _is_long(text):
        return text
    return text.encode()[:TEXT_BYTES_MAX].decode(errors="ignore")


def _time_ms(text: object) -> int:
    """Return RFC 3339 with up to nanoseconds as epoch ms; 0 when absent or year 1 ("not yet")."""
    if text is None or text == "":
        return 0
    if not isinstance(text, str):
        raise _RejectedError("bad_time")
    try:
        at = datetime.fromisoformat(text.upper())
    except ValueError as error:
        raise _RejectedError("bad_time") from error
    if at.tzinfo is None:
        raise _RejectedError("bad_time")
    return 0 if at.year == 1 else (at - _EPOCH) // _MS


def _count(payload: Mapping[str, object]) -> int:
    value = payload.get("truncatedAlerts")
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
