"""Vetoes: anomalies that bad data explains are held back, until they last beyond it.

Anomalies go in as they open and close, rows as they are judged; verdicts and released anomalies
come out. A veto is no more than a delay for whatever is really wrong: a series that still lies
outside the band of its anomaly in `RELEASE_ROWS` sound rows opens it after all.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import orjson

from aiops.domain.anomaly import Anomaly, AnomalyChange, AnomalyEvent
from aiops.domain.incident_json import anomaly_from_json, anomaly_to_json
from aiops.domain.quality import QualityFlag, VetoReason, flag_bit
from aiops.domain.samples import F64, I32, I64, U64
from aiops.errors import SnapshotError

RELEASE_ROWS = 2
"""Chosen: one row outside the band may be an echo or chance, a second one is the series itself."""


@dataclass(frozen=True, slots=True)
class VetoRule:
    """A flag of the row of the peak that explains an anomaly.

    Parameters
    ----------
    counters_only
        Whether it does so only where the feature is a rate.
    must_begin_it
        Whether the row has to be the onset as well: what was wrong before is not explained.
    """

    reason: VetoReason
    flag: QualityFlag
    counters_only: bool
    must_begin_it: bool


RULES = (
    VetoRule(VetoReason.COUNTER_RESET, QualityFlag.RESET, counters_only=True, must_begin_it=True),
    VetoRule(VetoReason.RATE_OVER_GAP, QualityFlag.GAP, counters_only=True, must_begin_it=True),
    VetoRule(VetoReason.BACKFILL, QualityFlag.BACKFILL, counters_only=False, must_begin_it=False),
)
"""In order of precedence; the reasons are told with `VetoReason`. What is not here vetoes nothing:
a gap before a gauge, repeats and rows out of order leave the value at the peak as true as ever, and
a source of which a part is missing may be the fault itself."""

_FLAGS_OF_COUNTERS = sum(flag_bit(rule.flag) for rule in RULES)
_FLAGS_OF_ALL = sum(flag_bit(rule.flag) for rule in RULES if not rule.counters_only)
_OWN_FLAGS_SHIFT = np.uint64(48)  # `detect.parts`: byte 6

Key = tuple[str, int]
"""Detector and slot: one anomaly of both is open at a time."""


@dataclass(slots=True)
class _Open:
    """An open anomaly with flags: what it was opened with, and whether it is held back.

    A row with any of the flags `unsound` tells nothing of whether it lasts.
    """

    quality: tuple[str, ...]
    unsound: int
    held: Anomaly | None = None
    n_beyond: int = 0


def veto_of(anomaly: Anomaly, own_flags: int, *, is_counter: bool) -> VetoReason | None:
    """Return why the row of the peak, with these flags, explains an anomaly; None if it does not.

    An anomaly without a band is never explained: nothing would tell whether it lasts.
    """
    if not math.isfinite(anomaly.upper - anomaly.lower):
        return None
    began_there = anomaly.peak_ms == anomaly.onset_ms
    for rule in RULES:
        applies = (is_counter or not rule.counters_only) and (began_there or not rule.must_begin_it)
        if applies and own_flags & flag_bit(rule.flag):
            return rule.reason
    return None


class Vetoes:
    """The open anomalies that have flags, and those of them that are held back.

    Notes
    -----
    `totals` counts vetoes by reason since start, `released_total` those that did not last.
    Bounded by the anomalies that may be open. Rows cost something only while any is held.
    """

    def __init__(self) -> None:
        self.totals = dict.fromkeys(VetoReason, 0)
        self.released_total = 0
        self._open: dict[Key, _Open] = {}

    @property
    def held_now(self) -> int:
        """How many anomalies are held back."""
        return sum(known.held is not None for known in self._open.values())

    def judge(self, event: AnomalyEvent, slot: int, own_flags: int, *, is_counter: bool) -> Anomaly:
        """Return the anomaly of an event with its verdict, and remember it until its end.

        Parameters
        ----------
        own_flags
            Flags of the row of its peak.
        is_counter
            Whether its feature is a rate.
        """
        anomaly = event.anomaly
        key = (anomaly.detector, slot)
        if event.change is AnomalyChange.CLOSED:
            return _ended(anomaly, self._open.pop(key, None))
        reason = veto_of(anomaly, own_flags, is_counter=is_counter)
        if reason is not None:
            self.totals[reason] += 1
            anomaly = replace(anomaly, is_vetoed=True, veto_reason=reason.value)
        if anomaly.quality:
            unsound = _FLAGS_OF_COUNTERS if is_counter else _FLAGS_OF_ALL
            held = anomaly if anomaly.is_vetoed else None
            self._open[key] = _Open(anomaly.quality, unsound, held)
        return anomaly

    def release(self, slots: I32, ts_ms: I64, features: F64, words: U64) -> list[AnomalyEvent]:
        """Return the held anomalies that turn out to last, as opened, after these rows."""
        held = {key: known for key, known in self._open.items() if known.held is not None}
        if not held:
            return []
        held_slots = np.array(sorted({slot for _, slot in held}), np.int32)
        flags = words >> _OWN_FLAGS_SHIFT & np.uint64(0xFF)
        is_sound = (flags & np.uint64(_FLAGS_OF_ALL)) == 0
        picked = np.flatnonzero(np.isin(slots, held_slots) & is_sound & ~np.isnan(features))
        columns = (column[picked].tolist() for column in (slots, ts_ms, features, flags))
        rows: dict[int, list[tuple[int, float, int]]] = {}
        for slot, at_ms, value, own in zip(*columns, strict=True):
            rows.setdefault(slot, []).append((at_ms, value, own))
        return [
            self._released(known)
            for (_, slot), known in held.items()
            if slot in rows and _lasts(known, rows[slot])
        ]

    def state(self) -> dict[str, npt.NDArray[np.generic]]:
        """Return the arrays of a snapshot."""
        rows = [
            [
                detector,
                slot,
                known.quality,
                known.unsound,
                known.n_beyond,
                None if known.held is None else anomaly_to_json(known.held),
            ]
            for (detector, slot), known in self._open.items()
        ]
        return {"quality.open": np.frombuffer(orjson.dumps(rows), np.uint8)}

    def restore(self, arrays: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Take over a snapshot; of a release that knew no vetoes, none is held.

        Raises
        ------
        SnapshotError
            When it has the data quality of rows and lacks that of anomalies.
        """
        saved = arrays.get("quality.open")
        if saved is None and "quality.last_ms" in arrays:
            raise SnapshotError("saved data quality lacks 'quality.open'")
        for detector, slot, quality, unsound, n_beyond, held in (
            [] if saved is None else orjson.loads(saved.tobytes())
        ):
            anomaly = None if held is None else anomaly_from_json(held)
            self._open[detector, slot] = _Open(tuple(quality), unsound, anomaly, n_beyond)

    def _released(self, known: _Open) -> AnomalyEvent:
        assert known.held is not None
        anomaly = replace(known.held, is_vetoed=False, veto_reason="")
        known.held = None
        self.released_total += 1
        return AnomalyEvent(AnomalyChange.OPENED, anomaly)


def _lasts(known: _Open, rows: list[tuple[int, float, int]]) -> bool:
    """Count the rows after the peak that lie outside its band; tell whether they are enough."""
    held = known.held
    assert held is not None
    known.n_beyond += sum(
        at_ms > held.peak_ms and not flags & known.unsound and not held.lower <= value <= held.upper
        for at_ms, value, flags in rows
    )
    return known.n_beyond >= RELEASE_ROWS


def _ended(anomaly: Anomaly, known: _Open | None) -> Anomaly:
    """Return a closed anomaly with all flags it ever had, and the veto it ended under."""
    if known is None:
        return anomaly
    quality = tuple(dict.fromkeys((*known.quality, *anomaly.quality)))
    if known.held is None:
        return replace(anomaly, quality=quality)
    reason = known.held.veto_reason
    return replace(anomaly, quality=quality, is_vetoed=True, veto_reason=reason)
