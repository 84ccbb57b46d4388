"""River detectors beside the built-in one: which series each watches, and its own episodes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aiops.config import DetectConfig, RiverRule
from aiops.detect.arrays import under
from aiops.detect.banks.river_bank import RiverBank
from aiops.detect.challenger import Agreement, Comparison, Tally
from aiops.detect.columns import ScoreColumns
from aiops.detect.episodes import EpisodeEvent, Episodes
from aiops.detect.kernels.rules import INVALID_BIT
from aiops.detect.rules import RuleColumns, chief_of, claims_of
from aiops.domain.labels import Labels, format_series
from aiops.domain.matchers import Matchers, match_all
from aiops.domain.samples import F64, I32, I64, U8
from aiops.domain.selector import parse_selector

ROWS_MAX = 4000
"""Chosen: at 25 us a row River then holds the engine at most 100 ms a batch; the rest is shed."""

SLOTS_MIN = 1024

ALARMING, CHALLENGER = "river.", "challenger."
"""How names of saved arrays begin; a rule that was one and is the other now starts afresh."""

AGREEMENT = "agreement"

_QUALITY = np.uint64(0xFFFF_0000_0000_0000 | INVALID_BIT)
"""Bits of a word of parts that tell of the data and not of the score."""

Arrays = dict[str, npt.NDArray[np.generic]]
LabelsOf = Callable[[int], Labels]
Told = Iterator[tuple[str, Sequence[EpisodeEvent]]]
"""Name of a detector, and its episodes that opened or closed."""


@dataclass(slots=True)
class _Watch:
    """One River detector.

    `claims` says for each rule of `detect.rules` whether its series are watched, None where the
    own `matchers` say; `is_chief` where the scores of this detector are those of the row.
    """

    name: str
    matchers: Matchers | None
    claims: tuple[bool | None, ...]
    is_chief: npt.NDArray[np.bool_]
    bank: RiverBank
    episodes: Episodes
    watched: npt.NDArray[np.bool_]
    agreement: Agreement | None

    @property
    def prefix(self) -> str:
        return f"{ALARMING if self.agreement is None else CHALLENGER}{self.name}."

    def is_wanted(self, number: int, labels: Labels) -> bool:
        """Tell whether to watch a series with this rule."""
        claim = self.claims[number]
        if claim is not None:
            return claim
        return self.matchers is not None and match_all(self.matchers, labels)


class RiverWatches:
    """The configured River detectors over the engine's slots.

    Parameters
    ----------
    config
        The detectors, the rules that name them, and thresholds of episodes.
    rules
        Which rule each slot has; only read.
    labels_of
        Names the series of a slot.
    batch_rows_max
        Most rows handed to `judge` at once.

    Notes
    -----
    Detectors learn anew after a restart (see `RiverBank`). Their episodes are saved, so that an
    anomaly which was open then still ends; one of a detector or series that is not watched any
    more ends as of its last row. Challengers go last and open nothing: what they would have
    opened is only compared.
    """

    def __init__(
        self, config: DetectConfig, rules: RuleColumns, labels_of: LabelsOf, batch_rows_max: int
    ) -> None:
        ordered = sorted(config.river, key=lambda rule: not rule.alarming)
        self._watches = [_watch(rule, config) for rule in ordered]
        self._config = config
        self._rules = rules
        self._labels_of = labels_of
        self._out = ScoreColumns.allocate(batch_rows_max if config.river else 0)
        self._former: list[tuple[str, Episodes]] = []
        self._is_settled = True

    def grow(self, capacity: int) -> None:
        """Make room for at least `capacity` slots."""
        for watch in self._watches:
            watch.bank.grow(capacity)
            watch.episodes.grow(capacity)
            if capacity > len(watch.watched):
                grown = np.zeros(capacity, np.bool_)
                grown[: len(watch.watched)] = watch.watched
                watch.watched = grown

    def admit(self, slots: I32) -> None:
        """Decide for new series, which have their rules, which detectors watch them."""
        for watch in self._watches:
            for slot in slots.tolist():
                number = int(self._rules.numbers[slot])
                watch.watched[slot] = watch.is_wanted(number, self._labels_of(slot))

    def judge(
        self, slots: I32, ts_ms: I64, features: F64, built_in: ScoreColumns, in_anomaly: U8
    ) -> Told:
        """Score and learn the rows of watched series; mark those inside an anomaly.

        `built_in` has the verdicts of the built-in detector, of which the quality of rows is
        taken; where a rule names a detector of ours, its scores are written there.
        """
        for watch in self._watches:
            picked = np.flatnonzero(watch.watched[slots])
            if len(picked) == 0:
                continue
            n = len(picked)
            rows = (slots[picked], ts_ms[picked], features[picked])
            watch.bank.score_learn(*rows, self._out, rows_max=ROWS_MAX)
            self._out.parts[:n] |= built_in.parts[picked] & _QUALITY
            marks = in_anomaly[picked]
            if watch.agreement is not None:
                self._compare(watch, watch.agreement, rows, marks)
                continue
            events = watch.episodes.step(*rows, self._out, marks)
            in_anomaly[picked] = marks
            chief = watch.is_chief[self._rules.numbers[rows[0]]]
            own = self._out.scores[:n][chief]
            built_in.scores[picked[chief]] = np.maximum(built_in.scores[picked[chief]], own)
            yield watch.name, events

    def settle(self) -> Told:
        """Close, once after a restart, the episodes of what is not watched any more."""
        if self._is_settled:
            return
        self._is_settled = True
        for name, episodes in self._former:
            yield name, episodes.reset(np.arange(len(episodes.classes), dtype=np.int32))
        self._former = []
        for watch in self._watches:
            unwatched = np.flatnonzero(~watch.watched).astype(np.int32)
            yield from _told(watch, unwatched, watch.episodes.reset(unwatched))

    def close(self, slots: I32, now_ms: int) -> Told:
        """Close the episodes of series that ended."""
        for watch in self._watches:
            yield from _told(watch, slots, watch.episodes.close_stale(slots, now_ms))

    def lose(self, slots: I32) -> Told:
        """Close the episodes of series that fell silent, as of their last rows."""
        for watch in self._watches:
            yield from _told(watch, slots, watch.episodes.reset(slots))

    def reset(self, slots: I32) -> None:
        """Learn these series anew; `close` has been called for them."""
        for watch in self._watches:
            watch.bank.reset(slots)
            watch.episodes.reset(slots)

    def forget(self, slots: I32) -> None:
        """Watch these slots no longer; `reset` has been called for them."""
        for watch in self._watches:
            watch.watched[slots] = False

    def comparisons(self) -> tuple[Comparison, ...]:
        """Return what there is to tell of each challenger."""
        found = (watch.agreement for watch in self._watches)
        return tuple(agreement.comparison() for agreement in found if agreement is not None)

    def tallies(self) -> dict[str, Tally]:
        """Return the running tally of each challenger by its name; only read."""
        watches = self._watches
        return {w.name: w.agreement.tally for w in watches if w.agreement is not None}

    def state(self, n_slots: int) -> Arrays:
        """Return the arrays of a snapshot, as live views."""
        arrays: Arrays = {}
        for name, episodes in self._former:
            arrays |= _saved(f"{ALARMING}{name}.", episodes, n_slots)
        for watch in self._watches:
            arrays |= _saved(watch.prefix, watch.episodes, n_slots)
            if watch.agreement is not None:
                dumped = np.frombuffer(watch.agreement.dump(), np.uint8)
                arrays[f"{watch.prefix}{AGREEMENT}"] = dumped
        return arrays

    def restore(self, arrays: Mapping[str, npt.NDArray[np.generic]], live: I32) -> None:
        """Take over a snapshot; a detector that it does not know starts without episodes.

        Of one that is gone, or does not open anomalies any more, the episodes are kept until
        `settle` closes them.
        """
        n_slots = len(arrays["series.fingerprints"])
        self.admit(live)
        for watch in self._watches:
            own = under(watch.prefix, arrays)
            if own:
                watch.episodes.restore(own, n_slots)
            if watch.agreement is not None and own:
                watch.agreement.load(own[AGREEMENT].tobytes())
        known = {watch.name for watch in self._watches if watch.agreement is None}
        saved = {name.split(".")[1] for name in arrays if name.startswith(ALARMING)}
        for name in sorted(saved - known):
            episodes = Episodes(self._config, n_slots, name)
            episodes.restore(under(f"{ALARMING}{name}.", arrays), n_slots)
            self._former.append((name, episodes))
        self._is_settled = False

    def _compare(
        self, watch: _Watch, agreement: Agreement, rows: tuple[I32, I64, F64], champion: U8
    ) -> None:
        own: U8 = np.zeros(len(champion), np.uint8)
        events = watch.episodes.step(*rows, self._out, own)
        names = {event.slot: format_series(self._labels_of(event.slot)) for event in events}
        scores = self._out.scores[: len(own)]
        agreement.learn(rows[0], scores, (own, champion), events, names)


def _told(watch: _Watch, slots: I32, events: Sequence[EpisodeEvent]) -> Told:
    """Yield the episodes of a detector that opens anomalies; of a challenger take note."""
    if watch.agreement is None:
        yield watch.name, events
    else:
        watch.agreement.close(slots, events)


def _saved(prefix: str, episodes: Episodes, n_slots: int) -> Arrays:
    capacity = len(episodes.classes)
    return {
        prefix + name: array[:n_slots] if len(array) == capacity else array
        for name, array in episodes.state().items()
    }


def _watch(rule: RiverRule, config: DetectConfig) -> _Watch:
    return _Watch(
        rule.name,
        None if rule.match is None else parse_selector(rule.match),
        claims_of(config, rule.name),
        np.array(chief_of(config, rule.name)),
        RiverBank(rule, config, SLOTS_MIN),
        Episodes(config, SLOTS_MIN, rule.name),
        np.zeros(SLOTS_MIN, np.bool_),
        None if rule.alarming else Agreement(rule.name),
    )
