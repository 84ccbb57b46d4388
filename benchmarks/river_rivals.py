"""What a sample costs our detector and River's, over the same stream of one series.

Ours as the service runs it, all rows in one batch, and as a River user would, one by one.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from river import anomaly, base

from aiops.config import DetectConfig
from aiops.detect.banks.seasonal import SeasonalBank
from aiops.detect.columns import ScoreColumns
from aiops.detect.river import TIME_KEY, SeriesDetector
from benchmarks.kernel_cases import SEED, START_MS, Case

N_SAMPLES = 5_000
"""Chosen: three and a half days at one a minute, so that the day's profile is in use, and the
slowest is done within a second."""
STEP_MS = 60_000
FEATURE = "value"
HALF_SPACE_TREES, GAUSSIAN = "River HalfSpaceTrees", "River GaussianScorer"
ABSOLUTE_DEVIATION = "River StandardAbsoluteDeviation"
BATCH, ONE_BY_ONE = "SeasonalBank in a batch", "SeriesDetector one by one"

Sample = dict[str, float]
ScoreLearn = Callable[[Sample], float]

GOALS: Mapping[str, float] = {HALF_SPACE_TREES: 100.0, GAUSSIAN: 10.0}
"""By how much the bank is to be faster a sample."""


def stream() -> list[Sample]:
    """Return samples with a daily wave and noise, in 0..1 as half-space trees want them."""
    wave = 0.3 * np.sin(2 * np.pi * np.arange(N_SAMPLES) / 1440)
    noise = 0.03 * np.random.default_rng(SEED).normal(size=N_SAMPLES)
    values = np.clip(0.5 + wave + noise, 0.0, 1.0).tolist()
    return [{FEATURE: v, TIME_KEY: START_MS + STEP_MS * k} for k, v in enumerate(values)]


def batch(_size: int) -> Case:
    """SeasonalBank: the whole stream in one call."""
    bank = _Batch()
    return Case(N_SAMPLES, bank.run, lambda: _agrees(bank), bank.reset)


def series_detector(_size: int) -> Case:
    """SeriesDetector: each sample scored, then learnt."""
    return _one_by_one(_ours, stream())


def half_space_trees(_size: int) -> Case:
    """River HalfSpaceTrees with its defaults."""
    return _one_by_one(lambda: _of_features(anomaly.HalfSpaceTrees(seed=SEED)), _without_times())


def gaussian(_size: int) -> Case:
    """River GaussianScorer with its defaults."""
    return _one_by_one(lambda: _of_value(anomaly.GaussianScorer()), _without_times())  # type: ignore[no-untyped-call] # River's own


def absolute_deviation(_size: int) -> Case:
    """River StandardAbsoluteDeviation with its defaults."""
    return _one_by_one(lambda: _of_value(anomaly.StandardAbsoluteDeviation()), _without_times())


CASES: tuple[tuple[str, Callable[[int], Case]], ...] = (
    (BATCH, batch),
    (ONE_BY_ONE, series_detector),
    (HALF_SPACE_TREES, half_space_trees),
    (GAUSSIAN, gaussian),
    (ABSOLUTE_DEVIATION, absolute_deviation),
)


def comparison(records: Sequence[Mapping[str, object]]) -> dict[str, object]:
    """Return how many times as much each rival costs a sample as ours, and whether goals are met.

    Empty when not all of them were measured.
    """
    costs = {str(r["kernel"]): float(str(r["cpu_ns_per_row"])) for r in records}
    if not all(name in costs for name, _ in CASES):
        return {}
    rivals = (HALF_SPACE_TREES, GAUSSIAN, ABSOLUTE_DEVIATION)
    to_batch = {name: round(costs[name] / costs[BATCH], 2) for name in rivals}
    return {
        "benchmark": "kernels",
        "comparison": "against River one by one",
        "samples": N_SAMPLES,
        "seed": SEED,
        "cpu_ns_per_sample": {name: costs[name] for name, _ in CASES},
        "times_the_cost_of_the_batch": to_batch,
        "times_the_cost_of_one_by_one": {
            name: round(costs[name] / costs[ONE_BY_ONE], 2) for name in rivals
        },
        "goals_met": {name: to_batch[name] >= goal for name, goal in GOALS.items()},
    }


class _Batch:
    """A fresh bank of one slot, and the columns of the stream."""

    def __init__(self) -> None:
        samples = stream()
        self._slots = np.zeros(N_SAMPLES, np.int32)
        self._ts_ms = np.array([int(x[TIME_KEY]) for x in samples], np.int64)
        self._values = np.array([x[FEATURE] for x in samples])
        self.out = ScoreColumns.allocate(N_SAMPLES)
        self.reset()

    def reset(self) -> None:
        self._bank = SeasonalBank(DetectConfig(), 1)

    def run(self) -> None:
        self._bank.score_learn(self._slots, self._ts_ms, self._values, self.out)


def _agrees(bank: _Batch) -> bool:
    """Tell whether single calls give the scores of the batch, to the bit."""
    bank.reset()
    bank.run()
    score_learn = _ours()
    return [score_learn(x) for x in stream()] == bank.out.scores.tolist()


def _one_by_one(make: Callable[[], ScoreLearn], samples: list[Sample]) -> Case:
    made = [make()]

    def reset() -> None:
        made[0] = make()

    def call() -> None:
        score_learn = made[0]
        for x in samples:
            score_learn(x)

    def is_right() -> bool:
        first, second = make(), make()
        told = [(first(x), second(x)) for x in samples]
        return all(a == b and math.isfinite(a) for a, b in told) and any(a > 0 for a, _ in told)

    return Case(len(samples), call, is_right, reset)


def _without_times() -> list[Sample]:
    return [{FEATURE: x[FEATURE]} for x in stream()]


def _ours() -> ScoreLearn:
    return _of_features(SeriesDetector())


def _of_features(detector: base.AnomalyDetector) -> ScoreLearn:
    score_one, learn_one = detector.score_one, detector.learn_one

    def score_learn(x: Sample) -> float:
        score: float = score_one(x)
        learn_one(x)
        return score

    return score_learn


def _of_value(detector: base.SupervisedAnomalyDetector) -> ScoreLearn:
    score_one, learn_one = detector.score_one, detector.learn_one

    def score_learn(x: Sample) -> float:
        value = x[FEATURE]
        score: float = score_one(x, value)
        learn_one(x, value)
        return score

    return score_learn
