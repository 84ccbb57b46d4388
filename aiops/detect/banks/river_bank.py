"""River detectors as a slow bank: one object a slot, Python speed, the same scale of scores."""

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from river import base

from aiops.config import DetectConfig, RiverRule
from aiops.detect.arrays import check_rows
from aiops.detect.calibrate import TailCalibrator
from aiops.detect.columns import ScoreColumns
from aiops.detect.river_build import answers_ratio, build_detector
from aiops.domain.samples import F64, I32, I64

UNHEARD_SAMPLES = 10
"""Chosen: what a detector answers to its first samples is no measure of the later ones; where a
spread is still zero it may be 1e10 (`StandardAbsoluteDeviation`)."""

RATIO_LEFT_MIN = 1e-16
"""Follows: what is left of 1 is known no better."""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Watch:
    detector: base.AnomalyDetector
    calibrator: TailCalibrator
    n_unheard: int = UNHEARD_SAMPLES


class RiverBank:
    """Runs one configured River detector on the slots handed to it, one object a slot.

    Parameters
    ----------
    rule
        Names the detector, its parameters, the key the sample is passed under (`feature`) and
        how many series it may watch (`series_max`).
    config
        `warmup_samples` is used: so many scores of a slot are ranked before one is told, not
        counting the first ten.
    capacity
        Number of slots that exist; only `series_max` of them are ever watched.

    Notes
    -----
    Raw scores are ranked by `TailCalibrator`, so they share thresholds and episodes with the
    seasonal bank. Of scores that end at 1 the logarithm of what is left is ranked: else the most
    unusual sample ever, at 0.998, would be as near to an ordinary one, at 0.95, as that to its
    like. There is no baseline: `expected` and `half` are always NaN. Cost is River's,
    1 to 40 us a sample, plus 3 us for the ranking. River objects cannot be saved without pickle,
    which is never read here: after a restart they learn anew, and `state` is empty.
    """

    version = 1

    def __init__(self, rule: RiverRule, config: DetectConfig, capacity: int) -> None:
        self.name = rule.name
        self.rows_shed_total = 0
        self.rows_refused_total = 0
        self.rows_failed_total = 0
        self._rule = rule
        self._warmup = config.warmup_samples
        self._capacity = capacity
        self._template = build_detector(rule)
        self._is_ratio = answers_ratio(self._template)
        self._watches: dict[int, _Watch] = {}

    def grow(self, capacity: int) -> None:
        """Accept slots up to `capacity`."""
        self._capacity = max(self._capacity, capacity)

    def reset(self, slots: I32) -> None:
        """Forget these slots, which makes room for others."""
        for slot in slots.tolist():
            self._watches.pop(slot, None)

    def score_learn(
        self, slots: I32, ts_ms: I64, features: F64, out: ScoreColumns, *, rows_max: int
    ) -> None:
        """Score each row, then learn it, as `SeasonalBank.score_learn` does.

        Rows beyond the first `rows_max` are neither judged nor learnt and counted in
        `rows_shed_total`; rows of slots beyond `series_max` in `rows_refused_total`; rows on
        which the detector raised or answered no finite number in `rows_failed_total`.
        """
        n = check_rows(slots, ts_ms, features, self._capacity, out.capacity)
        np.copyto(out.features[:n], features)
        out.scores[:n] = 0.0
        out.expected[:n] = math.nan
        out.half[:n] = math.nan
        out.parts[:n] = 0
        n_judged = min(n, rows_max)
        self.rows_shed_total += n - n_judged
        rows = zip(slots[:n_judged].tolist(), features[:n_judged].tolist(), strict=True)
        for i, (slot, feature) in enumerate(rows):
            if math.isfinite(feature):
                out.scores[i] = self._score_learn_one(slot, feature)
        np.copyto(out.severities[:n], out.scores[:n])
        np.copyto(out.alerts[:n], out.scores[:n])

    def state(self) -> dict[str, npt.NDArray[np.generic]]:
        """Return nothing: River detectors learn anew after a restart."""
        return {}

    def restore(self, state: Mapping[str, npt.NDArray[np.generic]], n_slots: int) -> None:  # noqa: ARG002 - every bank has this method
        """Forget every slot."""
        self._watches.clear()

    def bytes_per_series(self) -> int:
        """Return the bytes a fresh detector takes."""
        return int(self._template._raw_memory_usage)

    def _score_learn_one(self, slot: int, feature: float) -> float:
        watch = self._watches.get(slot)
        if watch is None:
            if len(self._watches) >= self._rule.series_max:
                self.rows_refused_total += 1
                return 0.0
            watch = _Watch(self._template.clone(), TailCalibrator(self._warmup))
            self._watches[slot] = watch
        x: dict[base.typing.FeatureName, float] = {self._rule.feature: feature}
        try:
            raw = float(watch.detector.score_one(x))
            watch.detector.learn_one(x)
        except Exception as error:  # a plug-in: whatever it raises costs its own row only
            return self._failed(repr(error))
        if not math.isfinite(raw):
            return self._failed(f"score {raw}")
        if self._is_ratio:
            raw = -math.log(max(1.0 - raw, RATIO_LEFT_MIN))
        if watch.n_unheard > 0:
            watch.n_unheard -= 1
            return 0.0
        return watch.calibrator.score_learn(raw)

    def _failed(self, reason: str) -> float:
        if self.rows_failed_total == 0:
            _log.warning("detector.failed", extra={"detector": self.name, "reason": reason})
        self.rows_failed_total += 1
        return 0.0
