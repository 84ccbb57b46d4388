"""What an absence anomaly says beside its numbers: of whom, how, and how it ended."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class AbsenceReason(StrEnum):
    """How samples stay away."""

    SILENT = "silent"
    """Nothing comes any more, and nobody said why."""
    ENDED = "ended"
    """Staleness markers ended the series, and none came back."""
    LATE = "late"
    """Samples come, but older ones than usual."""
    PARTIAL = "partial"
    """Some series of a group are silent while others live on."""


class AbsenceEnd(StrEnum):
    """Why an absence is over."""

    NONE = ""
    """It is not."""
    RETURNED = "returned"
    CAUGHT_UP = "caught_up"
    REPLACED = "replaced"
    """Another series or group came in its stead, or its end turned out to be ordinary."""
    FORGOTTEN = "forgotten"
    """Its series were silent for so long that they were forgotten (engine.series_idle_s)."""


@dataclass(frozen=True, slots=True)
class AbsenceFacts:
    """The evidence of an absence.

    `n_absent` of `n_series` series are concerned: those that keep a rhythm, now and when the group
    was last whole. A single series counts 1 of 1.
    """

    reason: AbsenceReason
    n_absent: int
    n_series: int
    ended_by: AbsenceEnd = AbsenceEnd.NONE


def absence_text(facts: AbsenceFacts, silence_s: float, usual_s: float) -> str:
    """Return an absence in a few words: `no samples for 2 min, usually every 15 s`."""
    span, usual = _span(silence_s), _span(usual_s)
    told = {
        AbsenceReason.SILENT: f"no samples for {span}, usually every {usual}",
        AbsenceReason.ENDED: f"ended {span} ago and not back, samples usually every {usual}",
        AbsenceReason.LATE: f"samples come {span} late, usually every {usual}",
        AbsenceReason.PARTIAL: f"some series without samples for {span}, usually every {usual}",
    }
    crowd = f" ({facts.n_absent} of {facts.n_series} series)" if facts.n_series > 1 else ""
    end = f", {facts.ended_by.value.replace('_', ' ')}" if facts.ended_by else ""
    return told[facts.reason] + crowd + end


def absence_to_json(facts: AbsenceFacts | None) -> dict[str, object] | None:
    """Return the JSON object of the facts, None for an anomaly of another kind."""
    if facts is None:
        return None
    return {
        "reason": facts.reason.value,
        "n_absent": facts.n_absent,
        "n_series": facts.n_series,
        "ended_by": facts.ended_by.value,
    }


def absence_from_json(data: object) -> AbsenceFacts | None:
    """Return the facts that `absence_to_json` made `data` of; None when there are none.

    Raises
    ------
    KeyError, TypeError, ValueError
        When it is something else.
    """
    if data is None:
        return None
    if not isinstance(data, Mapping):
        raise TypeError("absence is not an object")
    n_absent, n_series = data["n_absent"], data["n_series"]
    if type(n_absent) is not int or type(n_series) is not int:
        raise TypeError("absence counts are not whole numbers")
    return AbsenceFacts(
        AbsenceReason(data["reason"]), n_absent, n_series, AbsenceEnd(data["ended_by"])
    )


def _span(span_s: float) -> str:
    if span_s < 120:
        return f"{span_s:.0f} s" if span_s >= 10 or span_s == round(span_s) else f"{span_s:.1f} s"
    return f"{span_s / 60:.0f} min" if span_s < 7200 else f"{span_s / 3600:.1f} h"
