"""Series that exist only in answers: what the detector said, and which incidents are open.

Every stored series `M{labels}` also appears as `aiops_score`, `aiops_expected`, `aiops_lower`,
`aiops_upper` and `aiops_anomaly` with its labels plus `series_name="M"`. Incidents appear as
`aiops_incident_open`. These names are reserved: a stored series so named cannot be read by its
name. They are found by a selector that asks for them with `=` or `=~` on `__name__`; a selector
without such a matcher, like `{job="x"}`, finds stored series only.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from aiops.domain.incident import Incident
from aiops.domain.labels import METRIC_NAME, Labels, labels_from
from aiops.domain.matchers import Matcher, Matchers, MatchOp, match_all
from aiops.domain.samples import F64, SeriesRows
from aiops.query.columns import IncidentColumn, SampleColumn, is_stale

SERIES_NAME = "series_name"
INCIDENT_OPEN = "aiops_incident_open"

COLUMNS: dict[str, Callable[[SeriesRows], F64]] = {
    "aiops_score": lambda rows: rows.scores,
    "aiops_expected": lambda rows: rows.expected,
    "aiops_lower": lambda rows: rows.lower,
    "aiops_upper": lambda rows: rows.upper,
    "aiops_anomaly": lambda rows: rows.is_anomalous.astype(np.float64),
}
"""The derived names and the column each is read from."""

_RESERVED = Matcher(METRIC_NAME, MatchOp.NOT_REGEX, "|".join([*COLUMNS, INCIDENT_OPEN]))


@dataclass(frozen=True, slots=True)
class Selection:
    """What a selector finds: stored series, derived series of a base selector, incidents.

    `stored` is None when no stored series can match. `names` are the derived names found, each
    over the series that `base` matches.
    """

    stored: Matchers | None
    names: tuple[str, ...]
    base: Matchers
    has_incidents: bool
    matchers: Matchers


def select(matchers: Matchers) -> Selection:
    """Return what the matchers of a selector find."""
    on_name = tuple(m for m in matchers if m.name == METRIC_NAME)
    if not any(m.op in (MatchOp.EQUAL, MatchOp.REGEX) for m in on_name):
        return Selection(matchers, (), (), False, matchers)
    names = tuple(name for name in COLUMNS if _is_named(on_name, name))
    has_incidents = _is_named(on_name, INCIDENT_OPEN)
    stored: Matchers | None = matchers
    if names or has_incidents:
        is_exact = any(m.op is MatchOp.EQUAL for m in on_name)
        stored = None if is_exact else (*matchers, _RESERVED)
    return Selection(stored, names, _base(matchers) if names else (), has_incidents, matchers)


def _is_named(on_name: Matchers, name: str) -> bool:
    return all(m.is_match(name) for m in on_name)


def _base(matchers: Matchers) -> Matchers:
    """Return the matchers the stored series behind derived ones must satisfy."""
    return tuple(
        Matcher(METRIC_NAME, m.op, m.value) if m.name == SERIES_NAME else m
        for m in matchers
        if m.name != METRIC_NAME
    )


def derived_labels(labels: Labels, name: str) -> Labels:
    """Return the labels of the derived series `name` of a stored series."""
    pairs = dict(labels)
    pairs[SERIES_NAME] = pairs.pop(METRIC_NAME, "")
    pairs[METRIC_NAME] = name
    return labels_from(pairs)


def derived_column(rows: SeriesRows, name: str) -> SampleColumn:
    """Return one derived series of a stored one.

    Rows in which the detector said nothing (NaN) are absent; a staleness marker of the stored
    series ends the derived one as well.
    """
    values = COLUMNS[name](rows)
    ended = is_stale(rows.values)
    keep = ended | ~np.isnan(values)
    joined = np.where(ended, rows.values, values)
    return SampleColumn(derived_labels(rows.ref.labels, name), rows.ts_ms[keep], joined[keep])


def incident_labels(incident: Incident) -> Labels:
    """Return the labels of an incident's series; its own facts win over shared labels."""
    own = {
        METRIC_NAME: INCIDENT_OPEN,
        "incident_id": incident.incident_id,
        "severity": incident.severity.value,
        "state": incident.state.value,
        "title": incident.title,
    }
    return labels_from(dict(incident.labels) | own)


def incident_columns(incidents: list[Incident], matchers: Matchers) -> list[IncidentColumn]:
    """Return the series of those incidents whose labels match."""
    columns = [
        IncidentColumn(incident_labels(one), one.opened_ms, one.resolved_ms) for one in incidents
    ]
    return [column for column in columns if match_all(matchers, column.labels)]
