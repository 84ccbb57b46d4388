"""Cases of the kernels of the detection rules: two series in three have a rule."""

import numpy as np

from aiops.config import DetectConfig
from aiops.detect.columns import ScoreColumns
from aiops.detect.rules import DetectionRules
from aiops.domain.labels import labels_from
from aiops.domain.samples import F64, I32, U64
from benchmarks.kernel_cases import SEED, Case
from tests.naive.rules import NaiveRuled, naive_rules_apply, naive_rules_prepare

RULES = (
    {"match": '{n="0"}', "direction": "up", "deviation_min": 1.0, "threshold_above": 13.0},
    {"match": '{n="1"}', "valid_min": 0.0, "valid_max": 12.0},
)
WINDOW_ROWS = 10


class Ruled:
    """A batch of one row of every slot, with verdicts of a bank."""

    def __init__(self, n_slots: int) -> None:
        config = DetectConfig.model_validate({"rules": RULES})
        rng = np.random.default_rng(SEED)
        self.configured = config.rules
        self.slots: I32 = np.arange(n_slots, dtype=np.int32)
        self.features: F64 = rng.normal(10.0, 1.0, n_slots)
        self.scores: F64 = rng.exponential(0.5, n_slots)
        self.words: U64 = np.zeros(n_slots, np.uint64)
        self.kept = self.features.copy()
        self.judged = self.kept
        self.out = ScoreColumns.allocate(n_slots)
        self.out.expected[:] = 10.0
        self.rules = DetectionRules(config, n_slots, rows_max=n_slots, window_rows=WINDOW_ROWS)
        self.rules.admit(self.slots, lambda slot: labels_from({"n": str(slot % 3)}))

    def reset(self) -> None:
        """Bring back the columns as they were before any rule."""
        np.copyto(self.kept, self.features)
        for column in (self.out.scores, self.out.alerts):
            np.copyto(column, self.scores)
        self.words[:] = 0
        self.out.parts[:] = 0

    def prepare(self) -> None:
        """Sift the features."""
        self.judged = self.rules.prepare(self.slots, self.kept, self.words)

    def apply(self) -> None:
        """Sift the verdicts."""
        self.rules.apply(self.slots, self.kept, self.out)

    def agrees_with_twins(self) -> bool:
        """Sift the batch; tell whether all rows are as the twins have them."""
        self.reset()
        self.rules.reset(self.slots)
        self.prepare()
        self.apply()
        columns = np.stack([self.kept, self.judged, self.out.scores, self.out.alerts], axis=1)
        return bool(np.allclose(columns, [self._twin(slot) for slot in self.slots], equal_nan=True))

    def _twin(self, slot: int) -> tuple[float, float, float, float]:
        rule = (*self.configured, None)[slot % 3]
        series = NaiveRuled(rule, WINDOW_ROWS)
        kept, judged, _ = naive_rules_prepare(series, float(self.features[slot]))
        score = float(self.scores[slot])
        scored, alert, _ = naive_rules_apply(series, kept, score, score, 10.0)
        return kept, judged, scored, alert


def rules_prepare(n_slots: int) -> Case:
    """k_rules_prepare: one row of every slot."""
    ruled = Ruled(n_slots)
    return Case(n_slots, ruled.prepare, ruled.agrees_with_twins, ruled.reset)


def rules_apply(n_slots: int) -> Case:
    """k_rules_apply: one verdict on every slot."""
    ruled = Ruled(n_slots)
    ruled.reset()
    return Case(n_slots, ruled.apply, ruled.agrees_with_twins, ruled.reset)
