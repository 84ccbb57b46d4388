"""River detectors beside the built-in one: which series each watches, and its own episodes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aiops.config import DetectConfig, RiverRule
from aiops.detect.banks.river_bank import RiverBank
from aiops.detect.columns import ScoreColumns
from aiops.detect.episodes import EpisodeEvent, Episodes
from aiops.domain.labels import Labels
from aiops.domain.matchers import Matchers, match_all
from aiops.domain.samples import F64, I32, I64, U8, U64
from aiops.domain.selector import parse_selector

ROWS_MAX = 4000
"""Chosen: at 25 us a row River then holds the engine at most 100 ms a batch; the rest is shed."""

SLOTS_MIN = 1024

Told = Iterator[tuple[str, Sequence[EpisodeEvent]]]
"""Name of a detector, and its episodes that opened or closed."""


@dataclass(slots=True)
class _Watch:
    name: str
    matchers: Matchers
    bank: RiverBank
    episodes: Episodes
    watched: npt.NDArray[np.bool_]


class RiverWatches:
    """The configured River detectors over the engine's slots.

    Parameters
    ----------
    config
        The rules, and thresholds of episodes.
    batch_rows_max
        Most rows handed to `judge` at once.

    Notes
    -----
    Detectors learn anew after a restart (see `RiverBank`). Their episodes are saved, so that an
    anomaly which was open then still ends.
    """

    def __init__(self, config: DetectConfig, batch_rows_max: int) -> None:
        self._watches = [_watch(rule, config) for rule in config.river]
        self._out = ScoreColumns.allocate(batch_rows_max if config.river else 0)

    def grow(self, capacity: int) -> None:
        """Make room for at least `capacity` slots."""
        for watch in self._watches:
            watch.bank.grow(capacity)
            watch.episodes.grow(capacity)
            if capacity > len(watch.watched):
                grown = np.zeros(capacity, np.bool_)
                grown[: len(watch.watched)] = watch.watched
                watch.watched = grown

    def admit(self, slots: I32, labels_of: Callable[[int], Labels]) -> None:
        """Decide for new series which detectors watch them."""
        for watch in self._watches:
            for slot in slots.tolist():
                watch.watched[slot] = match_all(watch.matchers, labels_of(slot))

    def judge(self, slots: I32, ts_ms: I64, features: F64, words: U64, in_anomaly: U8) -> Told:
        """Score and learn the rows of watched series; mark those inside an anomaly.

        `words` has the quality flags of each row (`QualityState.note`).
        """
        for watch in self._watches:
            picked = np.flatnonzero(watch.watched[slots])
            if len(picked) == 0:
                continue
            rows = (slots[picked], ts_ms[picked], features[picked])
            marks = in_anomaly[picked]
            watch.bank.score_learn(*rows, self._out, rows_max=ROWS_MAX)
            self._out.parts[: len(picked)] |= words[picked]
            events = watch.episodes.step(*rows, self._out, marks)
            in_anomaly[picked] = marks
            yield watch.name, events

    def close(self, slots: I32, now_ms: int) -> Told:
        """Close the episodes of series that ended."""
        for watch in self._watches:
            yield watch.name, watch.episodes.close_stale(slots, now_ms)

    def lose(self, slots: I32) -> Told:
        """Close the episodes of series that fell silent, as of their last rows."""
        for watch in self._watches:
            yield watch.name, watch.episodes.reset(slots)

    def reset(self, slots: I32) -> None:
        """Learn these series anew."""
        for watch in self._watches:
            watch.bank.reset(slots)
            watch.episodes.reset(slots)

    def forget(self, slots: I32) -> None:
        """Watch these slots no longer; `reset` has been called for them."""
        for watch in self._watches:
            watch.watched[slots] = False

    def state(self, n_slots: int) -> dict[str, npt.NDArray[np.generic]]:
        """Return the arrays of a snapshot, as live views."""
        arrays = {}
        for watch in self._watches:
            capacity = len(watch.watched)
            for name, array in watch.episodes.state().items():
                part = array[:n_slots] if len(array) == capacity else array
                arrays[f"river.{watch.name}.{name}"] = part
        return arrays

    def restore(
        self,
        arrays: Mapping[str, npt.NDArray[np.generic]],
        live: I32,
        labels_of: Callable[[int], Labels],
    ) -> None:
        """Take over a snapshot; a rule that it does not know starts without episodes."""
        n_slots = len(arrays["series.fingerprints"])
        self.admit(live, labels_of)
        for watch in self._watches:
            prefix = f"river.{watch.name}."
            own = {
                name.removeprefix(prefix): array
                for name, array in arrays.items()
                if name.startswith(prefix)
            }
            if own:
                watch.episodes.restore(own, n_slots)


def _watch(rule: RiverRule, config: DetectConfig) -> _Watch:
    return _Watch(
        rule.name,
        parse_selector(rule.match),
        RiverBank(rule, config, SLOTS_MIN),
        Episodes(config, SLOTS_MIN, rule.name),
        np.zeros(SLOTS_MIN, np.bool_),
    )
