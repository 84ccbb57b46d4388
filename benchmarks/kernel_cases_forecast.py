"""Cases of forecasts: a sample of every slot, all of them watched, or none of the batch."""

import numpy as np

from aiops.config import DetectConfig
from aiops.detect.banks.seasonal import SeasonalBank
from aiops.detect.columns import ScoreColumns
from aiops.detect.forecast import ForecastBank
from aiops.detect.kernels import forecast as layout
from aiops.domain.samples import F64, I32, I64
from benchmarks.kernel_cases import SEED, START_MS, STEP_MS, Case
from tests.naive.forecast import NaiveForecastSeries, naive_forecast_learn

WARM_ROUNDS = 30
SLOTS_MAX = 10_000
"""As many as are watched by default."""


class Fleet:
    """Series with a trend, warm enough that forecasts are made and resolved."""

    def __init__(self, n_slots: int, n_watched: int) -> None:
        self.n_slots = n_slots
        self.rng = np.random.default_rng(SEED)
        self.slots: I32 = np.arange(n_slots, dtype=np.int32)
        self._seasonal = SeasonalBank(DetectConfig(), n_slots)
        self.bank = ForecastBank(n_slots, n_slots, self._seasonal)
        for slot in range(n_watched):
            self.bank.state.watch(n_slots - 1 - slot)
        self.n_rounds = 0
        out = ScoreColumns.allocate(n_slots)
        for _ in range(WARM_ROUNDS):
            ts_ms, values = self.columns()
            self._seasonal.score_learn(self.slots, ts_ms, values, out)
            self.bank.learn(self.slots, ts_ms, values)

    def columns(self) -> tuple[I64, F64]:
        """Go on to the next round and return its columns."""
        self.n_rounds += 1
        ts_ms: I64 = np.full(self.n_slots, START_MS + STEP_MS * self.n_rounds)
        return ts_ms, 1e6 - 10.0 * self.n_rounds + self.rng.normal(size=self.n_slots)


def forecast_learn(n_slots: int) -> Case:
    """k_forecast_learn and all around it: every slot of the batch is watched."""
    n_slots = min(n_slots, SLOTS_MAX)
    return _case(Fleet(n_slots, n_slots))


def forecast_pass_by(n_slots: int) -> Case:
    """The same where no slot of the batch is watched, but some other is."""
    fleet = Fleet(n_slots, 1)
    fleet.slots = fleet.slots[:-1]
    return _case(fleet)


def _case(fleet: Fleet) -> Case:
    n_rows = len(fleet.slots)
    columns = [*fleet.columns()]

    def call() -> None:
        ts_ms, values = columns
        fleet.bank.learn(fleet.slots, ts_ms[:n_rows], values[:n_rows])

    def reset() -> None:
        columns[:] = fleet.columns()

    return Case(n_rows, call, _is_right, reset)


def _is_right() -> bool:
    fleet, plain = Fleet(1, 1), NaiveForecastSeries([])
    for _ in range(50):
        ts_ms, values = fleet.columns()
        fleet.bank.learn(fleet.slots, ts_ms, values)
    again = Fleet(1, 0)
    again.n_rounds, again.rng = 0, np.random.default_rng(SEED)  # the same numbers, for the twin
    for _ in range(WARM_ROUNDS + 50):
        ts_ms, values = again.columns()
        naive_forecast_learn(plain, int(ts_ms[0]), float(values[0]))
    sizes = fleet.bank.state.rows[0, layout.TRENDS + layout.SIZE :: layout.TREND_SIZE]
    return bool(np.allclose(sizes, [trend.size for trend in plain.trends], rtol=1e-6))
