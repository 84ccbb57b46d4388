"""A series reader over rows in memory, and short ways to make rows and incidents."""

import asyncio

import numpy as np

from aiops.domain.incident import Incident, IncidentState, Severity
from aiops.domain.labels import Labels, labels_from
from aiops.domain.matchers import Matchers, match_all
from aiops.domain.samples import STALE_BITS, MetricMetadata, SeriesRef, SeriesRows
from aiops.query import Fetched, Window, evaluate, parse_query, plan_query

STALE = np.array([STALE_BITS], dtype=np.uint64).view(np.float64)[0]


def rows_of(name, samples, *, expected=None, scores=None, anomalous=(), **labels):
    """Make a series from {time in s: value}; `expected` gives the band +-1 around it."""
    ts_ms = np.array([round(at_s * 1000) for at_s in samples], dtype=np.int64)
    values = np.array(list(samples.values()), dtype=np.float64)
    middle = np.full(len(ts_ms), np.nan) if expected is None else np.array(expected, dtype=float)
    return SeriesRows(
        SeriesRef(hash(name) & 0xFFFF, 0, labels_from({"__name__": name, **labels})),
        ts_ms,
        values,
        np.zeros(len(ts_ms)) if scores is None else np.array(scores, dtype=float),
        middle,
        middle - 1.0,
        middle + 1.0,
        np.array([at_s in anomalous for at_s in samples], dtype=np.bool_),
    )


def incident_of(incident_id, *, opened_s, resolved_s=0, labels=(), **changes):
    """Make an incident that was open from one time to another."""
    facts = {
        "state": IncidentState.RESOLVED if resolved_s else IncidentState.OPEN,
        "severity": Severity.WARNING,
        "title": f"{incident_id} is odd",
    } | changes
    return Incident(
        incident_id=incident_id,
        labels=tuple(labels),
        opened_ms=opened_s * 1000,
        updated_ms=opened_s * 1000,
        resolved_ms=resolved_s * 1000,
        acknowledged_by="",
        anomalies=(),
        alerts=(),
        timeline=(),
        **facts,
    )


class MemoryReader:
    """Answers the reader's protocols from lists; keeps what it was asked in `asked`."""

    def __init__(self, rows=(), incidents=(), metadata=()):
        self._rows = list(rows)
        self._incidents = list(incidents)
        self._metadata = list(metadata)
        self.asked: list[tuple[Matchers, int, int]] = []
        self.delay_s = 0.0
        self.error: Exception | None = None

    async def series(self, matcher_sets, *, start_ms, end_ms, limit=0) -> list[Labels]:
        found = [
            one.ref.labels
            for one in self._matching(matcher_sets)
            if ((one.ts_ms >= start_ms) & (one.ts_ms <= end_ms)).any()
        ]
        return found[: limit or None]

    async def rows(self, matchers, *, start_ms, end_ms) -> list[SeriesRows]:
        assert -(2**63) <= start_ms <= end_ms < 2**63
        self.asked.append((matchers, start_ms, end_ms))
        await asyncio.sleep(self.delay_s)
        if self.error:
            raise self.error
        cut = [_between(one, start_ms, end_ms) for one in self._matching((matchers,))]
        return [one for one in cut if len(one.ts_ms)]

    async def label_names(self, matcher_sets) -> list[str]:
        return sorted({k for one in self._matching(matcher_sets) for k, _ in one.ref.labels})

    async def label_values(self, name, matcher_sets) -> list[str]:
        every = self._matching(matcher_sets)
        return sorted({v for one in every for k, v in one.ref.labels if k == name})

    async def metadata(self) -> list[MetricMetadata]:
        return self._metadata

    async def incidents_between(self, start_ms, end_ms) -> list[Incident]:
        return [
            one
            for one in self._incidents
            if one.opened_ms <= end_ms and (not one.resolved_ms or one.resolved_ms >= start_ms)
        ]

    def _matching(self, matcher_sets):
        if not matcher_sets:
            return self._rows
        return [r for r in self._rows if any(match_all(s, r.ref.labels) for s in matcher_sets)]


def run_query(text, reader, window: Window):
    """Parse, plan, fetch and evaluate a query."""
    tree = parse_query(text)
    plan = plan_query(tree, window)

    async def fetch():
        rows = {
            one: await reader.rows(one.matchers, start_ms=one.start_ms, end_ms=one.end_ms)
            for one in plan.rows
        }
        span = plan.incidents_ms
        return Fetched(rows, await reader.incidents_between(*span) if span else [])

    return evaluate(tree, window, asyncio.run(fetch()))


def _between(rows: SeriesRows, start_ms: int, end_ms: int) -> SeriesRows:
    keep = (rows.ts_ms >= start_ms) & (rows.ts_ms <= end_ms)
    return SeriesRows(
        rows.ref,
        rows.ts_ms[keep],
        rows.values[keep],
        rows.scores[keep],
        rows.expected[keep],
        rows.lower[keep],
        rows.upper[keep],
        rows.is_anomalous[keep],
    )
