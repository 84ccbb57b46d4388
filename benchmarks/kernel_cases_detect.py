"""Cases of the kernels that score samples and follow episodes."""

import math

import numpy as np

from aiops.config import DetectConfig
from aiops.detect.banks.alerts import AlertBank
from aiops.detect.banks.seasonal import SeasonalBank
from aiops.detect.columns import ScoreColumns
from aiops.detect.episodes import LEVEL_DEFAULT, Episodes
from aiops.domain.samples import F64, I32
from benchmarks.kernel_cases import SEED, START_MS, STEP_MS, Case, Kernel
from tests.naive.alerts import NaiveAlerts, naive_alert_score
from tests.naive.detect import naive_episodes_step
from tests.naive.seasonal import NaiveSeries, naive_seasonal_score
from tests.naive.tails import NaiveTail, naive_tail_learn, naive_tail_score

WARM_ROUNDS = 70
"""Past the warm-up of 60 samples, so that every row is judged."""
N_VALUES = 16
N_TAIL_UNITS = 20_000
ALERT_STEP_MS = 300_000
"""As long as a step of a window, so that every row ends one: the dearest case."""
ALERT_ROUNDS = 864 + 40
"""Past the three days that teach a range, and past the first window."""


class Fleet:
    """A warmed-up fleet of noisy series; each round is one sample of every slot."""

    def __init__(self, n_slots: int) -> None:
        self._config = DetectConfig()
        self.bank = SeasonalBank(self._config, n_slots)
        self.episodes = Episodes(self._config, n_slots, SeasonalBank.name)
        self.out = ScoreColumns.allocate(n_slots)
        self.in_anomaly = np.zeros(n_slots, np.uint8)
        self.slots: I32 = np.arange(n_slots, dtype=np.int32)
        self._values = np.random.default_rng(SEED).normal(10.0, 1.0, (N_VALUES, n_slots))
        self._features: F64 = self._values[0]
        self._n_rounds = 0
        for _ in range(WARM_ROUNDS):
            self.score_learn()

    def shuffle(self) -> None:
        """Let the samples come in random order from now on, so that every row misses the caches."""
        self.slots = np.random.default_rng(SEED).permutation(self.slots)

    def next_round(self) -> None:
        """Go on to the next samples."""
        self._n_rounds += 1
        self._features = self._values[self._n_rounds % N_VALUES][self.slots]

    def score(self) -> None:
        """Score and learn the round's samples."""
        ts_ms = np.full(len(self.slots), START_MS + STEP_MS * self._n_rounds)
        self.bank.score_learn(self.slots, ts_ms, self._features, self.out)

    def score_learn(self) -> None:
        """Score and learn a new sample of every slot."""
        self.next_round()
        self.score()

    def step(self) -> None:
        """Take the verdicts of the last round into the episodes."""
        ts_ms = np.full(len(self.slots), START_MS + STEP_MS * self._n_rounds)
        self.episodes.step(self.slots, ts_ms, self.out.features, self.out, self.in_anomaly)

    def agrees_with_twin(self) -> bool:
        """Score one more round; tell whether its verdicts on three slots are those of the twin."""
        self.score_learn()
        rows = (0, len(self.slots) // 2, len(self.slots) - 1)
        out = self.out
        told = [(out.scores[i], out.severities[i], out.expected[i], out.half[i]) for i in rows]
        wanted = [self._twin(int(self.slots[i])) for i in rows]
        return bool(np.allclose(told, wanted, rtol=1e-6, atol=1e-9))

    def _twin(self, slot: int) -> tuple[float, float, float, float]:
        series = NaiveSeries(self._config.warmup_samples)
        score, severity, expected, half = 0.0, 0.0, math.nan, math.nan
        for k in range(1, self._n_rounds + 1):
            value = float(self._values[k % N_VALUES, slot])
            told = naive_seasonal_score(series, START_MS + STEP_MS * k, value)
            score, severity, _, expected, half, _ = told
        return score, severity, expected, half


class Evidence:
    """Evidence of noisy series with remembered windows; each round is one step of every slot."""

    def __init__(self, n_slots: int) -> None:
        self.bank = AlertBank(n_slots)
        self.out = ScoreColumns.allocate(n_slots)
        self._slots: I32 = np.arange(n_slots, dtype=np.int32)
        self._intervals: F64 = np.full(n_slots, float(ALERT_STEP_MS))
        rng = np.random.default_rng(SEED)
        self._values = rng.normal(10.0, 1.0, (N_VALUES, n_slots))
        self._evidence = rng.exponential(0.4, (N_VALUES, n_slots))
        self._n_rounds = 0
        for _ in range(ALERT_ROUNDS):
            self.next_round()
            self.score()

    def next_round(self) -> None:
        """Go on to the next step and its evidence."""
        self._n_rounds += 1
        np.copyto(self.out.alerts, self._evidence[self._n_rounds % N_VALUES])
        self.out.parts[:] = 0

    def score(self) -> None:
        """Turn the round's evidence into alert scores."""
        ts_ms = np.full(len(self._slots), START_MS + ALERT_STEP_MS * self._n_rounds)
        values = self._values[self._n_rounds % N_VALUES]
        self.bank.score(self._slots, ts_ms, values, self._intervals, self.out)

    def agrees_with_twin(self) -> bool:
        """Score one more round; tell whether its alerts on two slots are those of the twin."""
        self.next_round()
        self.score()
        rows = (0, len(self._slots) - 1)
        return bool(np.allclose([self.out.alerts[i] for i in rows], [self._twin(i) for i in rows]))

    def _twin(self, slot: int) -> float:
        series, alert = NaiveAlerts(), 0.0
        for k in range(1, self._n_rounds + 1):
            value, evidence = (float(c[k % N_VALUES, slot]) for c in (self._values, self._evidence))
            at_ms = START_MS + ALERT_STEP_MS * k
            alert, _ = naive_alert_score(series, at_ms, value, evidence, float(ALERT_STEP_MS))
        return alert


def seasonal_score(n_slots: int) -> Case:
    """k_seasonal_score: one sample of every slot, in slot order."""
    fleet = Fleet(n_slots)
    return Case(n_slots, fleet.score, fleet.agrees_with_twin, fleet.next_round)


def seasonal_score_shuffled(n_slots: int) -> Case:
    """k_seasonal_score: the same in random order."""
    fleet = Fleet(n_slots)
    fleet.shuffle()
    return Case(n_slots, fleet.score, fleet.agrees_with_twin, fleet.next_round)


def alert_score(n_slots: int) -> Case:
    """k_alert_score: one step of every slot, each of which ends a window that is compared."""
    evidence = Evidence(n_slots)
    return Case(n_slots, evidence.score, evidence.agrees_with_twin, evidence.next_round)


def episodes_step(n_slots: int) -> Case:
    """k_episodes_step: one verdict of every slot, nearly all quiet."""
    fleet = Fleet(n_slots)
    return Case(n_slots, fleet.step, lambda: are_episodes_right(Episodes), fleet.score_learn)


def score_and_step(n_slots: int) -> Case:
    """k_seasonal_score and k_episodes_step, as the pipeline runs them."""
    fleet = Fleet(n_slots)

    def call() -> None:
        fleet.score()
        fleet.step()

    return Case(n_slots, call, fleet.agrees_with_twin, fleet.next_round)


def tail_calls(score: Kernel, learn: Kernel, _n_slots: int) -> Case:
    """k_tail_score and k_tail_learn called from Python, as the River bank does."""
    units = np.abs(np.random.default_rng(SEED).normal(size=N_TAIL_UNITS)).tolist()
    row = np.array([2.5, 0.0, 0.0, 0.0])

    def call() -> None:
        for n, unit in enumerate(units):
            score(row, 0, unit)
            learn(row, 0, unit, n + 1.0, 1.0)

    return Case(len(units), call, lambda: _is_tail_right(score, learn, units[:500]))


def are_episodes_right(machine_type: type[Episodes]) -> bool:
    """Tell whether an episode machine and its twin see the same in noisy verdicts of three slots.

    The machine hides its kernel, hence a machine is what a test may replace.
    """
    n, config, rng = 600, DetectConfig(), np.random.default_rng(SEED)
    slots = (np.arange(n) % 3).astype(np.int32)
    ts_ms = START_MS + STEP_MS * (np.arange(n, dtype=np.int64) // 3)
    is_disturbed = np.arange(n) // 90 % 2 == 1
    scores = np.where(is_disturbed, LEVEL_DEFAULT + 2, 0.0) + rng.random(n)
    out = ScoreColumns.allocate(n)
    np.copyto(out.scores, scores)
    out.expected[:], out.half[:], out.features[:] = 10.0, 2.0, rng.normal(10, 1, n)
    out.alerts[:], out.parts[:] = scores / 2, rng.integers(0, 2**48, n, np.uint64)
    mask = np.zeros(n, np.uint8)
    events = machine_type(config, 3, SeasonalBank.name).step(slots, ts_ms, out.features, out, mask)
    columns = (
        slots,
        ts_ms,
        out.features,
        out.scores,
        out.expected,
        out.half,
        out.alerts,
        out.parts,
    )
    wanted, wanted_mask = naive_episodes_step(
        {},
        list(zip(*(column.tolist() for column in columns), strict=True)),
        alarm=LEVEL_DEFAULT,
        clear=config.clear_score,
        open_samples=config.open_samples,
        close_samples=config.close_samples,
    )
    told = [(str(e.change), e.slot, e.onset_ms, e.end_ms, e.score, e.alert) for e in events]
    return told == [(*e[:5], e[-1]) for e in wanted] and mask.tolist() == wanted_mask


def _is_tail_right(score: Kernel, learn: Kernel, units: list[float]) -> bool:
    row, tail = np.array([2.5, 0.0, 0.0, 0.0]), NaiveTail()
    for n, unit in enumerate(units):
        if not np.isclose(score(row, 0, unit), naive_tail_score(tail, unit), rtol=1e-9):
            return False
        learn(row, 0, unit, n + 1.0, 1.0)
        naive_tail_learn(tail, unit, n + 1.0)
    wanted = [tail.threshold, tail.excess, tail.square, tail.count]
    return bool(np.allclose(row, wanted, rtol=1e-9))
