"""What our River estimators share: time, scores without learning, and how they are saved."""

import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import Generic, NamedTuple, Protocol, Self, TypeVar

import numpy as np
import numpy.typing as npt
from river import base

from aiops.errors import SnapshotError

Name = base.typing.FeatureName
Features = Mapping[Name, float | None]
Values = dict[Name, float]
"""Present values of a sample by their names: no time, no NaN."""
Arrays = dict[str, npt.NDArray[np.generic]]

TIME_KEY = "ts_ms"
"""Feature that is the time of the sample, epoch milliseconds, not a value to judge."""

_LAYOUT = 1
"""Version of what `__getstate__` returns."""


class Engine(Protocol):
    """A bank, or several of them, fed one sample at a time."""

    def score_learn(self, ts_ms: int, values: Values) -> float:
        """Return the score of a sample, which has a value at least, then learn it."""
        ...

    def copy_from(self, other: Self) -> None:
        """Become equal to another engine of the same parameters."""
        ...

    def names(self) -> list[Name]:
        """Return the names of the features known, by their slots."""
        ...

    def state(self) -> Arrays:
        """Return all that was learnt, as live arrays."""
        ...

    def restore(self, names: list[Name], arrays: Arrays) -> None:
        """Take over what was saved of an engine of the same parameters."""
        ...


E = TypeVar("E", bound=Engine)


class _Foreseen(NamedTuple):
    """A sample that was scored, and from which the engine ahead has learnt."""

    ts_ms: int
    values: Values
    score: float


class BankDetector(base.AnomalyDetector, Generic[E]):
    """A bank as a River anomaly detector; subclasses say which, and what of a sample it reads.

    Notes
    -----
    There are two engines. To score a sample, the one ahead becomes a copy of the present one and
    learns it; nothing else ever sees that. If the next sample learnt is the same one, as in
    River's usual loop, the engines change places, so that a sample is computed once.

    What is saved are the parameters and the arrays of the present engine. Python's pickle, which
    River uses, reads and writes it; nothing of ours reads a pickle.
    """

    _now: E
    _ahead: E
    _interval_ms: int
    _foreseen: _Foreseen | None
    _next_ms: int

    def score_one(self, x: Features) -> float:
        """Return the score of a sample; nothing is learnt."""
        ts_ms, values = self._time_ms(x), self._values(x)
        if not values:
            return 0.0
        foreseen = self._foreseen
        if foreseen is not None and foreseen[:2] == (ts_ms, values):
            return foreseen.score
        self._foreseen = None  # should the engine raise, it is not what was foreseen
        self._ahead.copy_from(self._now)
        score = self._ahead.score_learn(ts_ms, values)
        self._foreseen = _Foreseen(ts_ms, values, score)
        return score

    def learn_one(self, x: Features) -> None:
        """Learn a sample."""
        ts_ms, values = self._time_ms(x), self._values(x)
        foreseen, self._foreseen = self._foreseen, None
        if foreseen is not None and foreseen[:2] == (ts_ms, values):
            self._now, self._ahead = self._ahead, self._now
        elif values:
            self._now.score_learn(ts_ms, values)
        self._next_ms = ts_ms + self._interval_ms

    @abstractmethod
    def _values(self, x: Features) -> Values:
        """Return what is to be judged of a sample."""

    def _start(self, now: E, ahead: E, interval_s: float) -> None:
        self._now, self._ahead = now, ahead
        self._interval_ms = round(interval_s * 1000)
        self._foreseen = None
        self._next_ms = 0

    def _time_ms(self, x: Features) -> int:
        given = x.get(TIME_KEY)
        if given is None:
            return self._next_ms
        if given != int(given):
            raise ValueError(
                f"{TIME_KEY} is {given}, give epoch milliseconds; scalers before the detector must "
                f'not see it: compose.Select("{TIME_KEY}") + (compose.Discard("{TIME_KEY}") | ...)'
            )
        return int(given)

    def __getstate__(self) -> dict[str, object]:
        """Return the parameters and what was learnt; scoring alone never changes it."""
        return {
            "layout": _LAYOUT,
            "params": self._get_params(),
            "next_ms": self._next_ms,
            "names": self._now.names(),
            "arrays": {name: array.copy() for name, array in self._now.state().items()},
        }

    def __setstate__(self, state: Mapping[str, object]) -> None:
        """Take over what `__getstate__` returned.

        Raises
        ------
        SnapshotError
            When another version of the detector returned it.
        """
        params, names, arrays = state["params"], state["names"], state["arrays"]
        if state["layout"] != _LAYOUT or not (
            isinstance(params, dict) and isinstance(names, list) and isinstance(arrays, dict)
        ):
            raise SnapshotError(f"another version of {type(self).__name__} was saved")
        vars(self).update(vars(type(self)(**params)))
        self._next_ms = int(str(state["next_ms"]))
        self._now.restore(names, arrays)


def present(x: Features) -> Values:
    """Return the values of a sample that are there, without its time.

    Zeros lose their sign, so that equal samples are the same sample.
    """
    return {
        name: float(value) + 0.0
        for name, value in x.items()
        if name != TIME_KEY and value is not None and not math.isnan(value)
    }
