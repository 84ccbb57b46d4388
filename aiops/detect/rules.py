"""Detection rules: of each series which rule holds, and what it does to rows and verdicts.

Features go in before the bank sees them, verdicts before the episodes do. Which rule a series has
follows from its labels, so it is no part of a snapshot; what its rows brought about is.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aiops.config import DetectConfig
from aiops.config_links import placed_rules
from aiops.config_rules import DEFAULT, OFF, SeriesRule
from aiops.detect.arrays import grown, writable
from aiops.detect.columns import ScoreColumns
from aiops.detect.kernels import rules as layout
from aiops.detect.kernels.rules import k_rules_apply, k_rules_prepare
from aiops.detect.rule_match import RuleMatch
from aiops.domain.labels import Labels
from aiops.domain.samples import F64, I32, I64, U8, U64

BEYOND_SCORE = 20.0
"""Chosen: the score of a row beyond a threshold, up to 21 the farther it lies. Above what n samples
support of any other (log10(n) + 5), and above the highest level a budget sets by more than the
1.25 within which openings count as false ones. A fixed `alarm_score` this high raises it."""

WINDOW_ROWS_MAX = 255
"""Follows: rows since bad data are counted down in one byte."""

SEASON_NUMBERS = {"auto": 0, "none": 1, "day": 2, "week": 3}
"""What `RuleColumns.seasons` holds."""

_DIRECTIONS = {"both": 0.0, "up": 1.0, "down": -1.0}

Arrays = dict[str, npt.NDArray[np.generic]]
LabelsOf = Callable[[int], Labels]


@dataclass(slots=True)
class RuleColumns:
    """What a bank may ask of the rules, a slot at a time; only read by it.

    Parameters
    ----------
    numbers
        Rule of each slot, 0 for none.
    seasons
        Season its expected value may follow, as `SEASON_NUMBERS` says
        (`SeasonalBank.limit_seasons`).
    """

    numbers: U8
    seasons: U8


@dataclass(frozen=True, slots=True)
class RuleCounts:
    """What a rule did since start.

    Parameters
    ----------
    place
        Path of the rule in the configuration.
    n_series
        Live series that it holds for.
    n_invalid, n_sifted, n_beyond
        Rows out of the valid range; rows that scored 3 or more and were made to count for
        nothing; rows beyond a threshold.
    """

    place: str
    n_series: int
    n_invalid: int
    n_sifted: int
    n_beyond: int


class DetectionRules:
    """Applies `detect.rules` to columns of rows.

    Parameters
    ----------
    config
        `rules`, then `default_rules`; the first that matches a series holds for it. A fixed
        `alarm_score` is minded.
    capacity, rows_max
        Number of slots; most rows of one batch.
    window_rows
        Rows for which bad data count as seen a short while ago.

    Raises
    ------
    ConfigError
        When the match of a rule is no selector.

    Notes
    -----
    *Before the bank* a feature out of the valid range becomes absent: no detector learns or
    judges it. Of a series with another detector, or none, the bank sees nothing at all.

    *After the bank* the score of a row is set to 0 in the warm-up of its rule, if it deviates the
    wrong way, or less than the rule asks for, in absolute or relative terms; both must be met if
    both are given. Then a row beyond a threshold gets a score of `BEYOND_SCORE` or more. So a
    threshold counts in a warm-up too, and where nobody else judges.

    *Limits.* Direction and deviation refer to the expected value of the row, so a level that was
    adopted is what counts from then on. A rule that is new in the configuration begins its
    warm-up with series that have been there for long. A counter is judged by its rate, and so are
    its valid range and thresholds: of a raw value that is wrong both rates beside it are.

    7 bytes a series; 7 ns a row where two series in three have a rule (benchmark: bench_kernels),
    and nothing while none has.
    """

    def __init__(
        self, config: DetectConfig, capacity: int, *, rows_max: int, window_rows: int
    ) -> None:
        self._placed = tuple(placed_rules(config))
        self._match = RuleMatch(self._placed)
        beyond = max(BEYOND_SCORE, (config.alarm_score or 0.0) + 1.0)
        rows = [[0.0] * layout.RULE_SIZE, *(_row(rule, beyond) for _, rule in self._placed)]
        self._table: F64 = np.array(rows)
        self._season_of_rule = np.array(
            [0, *(SEASON_NUMBERS[rule.season] for _, rule in self._placed)], np.uint8
        )
        self._window_rows = min(window_rows, WINDOW_ROWS_MAX)
        self._counts: I64 = np.zeros((len(rows), layout.COUNTS_SIZE), np.int64)
        self._n_series: I64 = np.zeros(len(rows), np.int64)
        self._recent: U8 = np.zeros(capacity, np.uint8)
        self._seen: I32 = np.zeros(capacity, np.int32)
        self._judged: F64 = np.empty(rows_max)
        self.columns = RuleColumns(np.zeros(capacity, np.uint8), np.zeros(capacity, np.uint8))

    def grow(self, capacity: int) -> None:
        """Make room for at least `capacity` slots."""
        self._recent = grown(self._recent, capacity)
        self._seen = grown(self._seen, capacity)
        self.columns.numbers = grown(self.columns.numbers, capacity)
        self.columns.seasons = grown(self.columns.seasons, capacity)

    def admit(self, slots: I32, labels_of: LabelsOf) -> None:
        """Decide which rule holds for new series."""
        for slot in slots.tolist() if self._match else ():
            self._hold(slot, self._match.number(labels_of(slot)))

    def reset(self, slots: I32) -> None:
        """Begin anew with these series; their rules stay."""
        self._recent[slots] = 0
        self._seen[slots] = 0

    def forget(self, slots: I32) -> None:
        """Take the rules off these slots; `reset` has been called for them."""
        for slot in slots.tolist():
            self._hold(slot, 0)

    def prepare(self, slots: I32, features: F64, words: U64) -> F64:
        """Make bad data absent, in place; return what the bank may see, valid until the next call.

        Parameters
        ----------
        slots, features
            The batch as intake made it.
        words
            Quality of each row (`QualityState.note`); gets a mark where bad data came a short
            while before.
        """
        if not self._n_series[1:].any():
            return features
        judged = self._judged[: len(slots)]
        k_rules_prepare(
            self.columns.numbers,
            self._table,
            self._recent,
            writable(slots),
            features,
            judged,
            words,
            self._counts,
            self._window_rows,
        )
        return judged

    def apply(self, slots: I32, features: F64, out: ScoreColumns) -> None:
        """Bring the verdicts of a bank in line with the rules.

        Parameters
        ----------
        slots, features
            The batch that `prepare` has seen.
        out
            Verdicts on it; scores, alerts and parts of its rows change.
        """
        if not self._n_series[1:].any():
            return
        k_rules_apply(
            self.columns.numbers,
            self._table,
            self._seen,
            writable(slots),
            writable(features),
            out.scores,
            out.alerts,
            out.expected,
            out.parts,
            self._counts,
        )

    def threshold(self, slot: int) -> tuple[float, float]:
        """Return the lower and upper threshold of a slot, NaN where there is none."""
        row = self._table[self.columns.numbers[slot]]
        below, above = row[layout.BELOW], row[layout.ABOVE]
        is_ruled = self.columns.numbers[slot] > 0
        return (
            float(below) if is_ruled and math.isfinite(below) else math.nan,
            float(above) if is_ruled and math.isfinite(above) else math.nan,
        )

    def counts(self) -> Iterator[RuleCounts]:
        """Yield what each rule did, in the order in which they count."""
        for k, (place, _) in enumerate(self._placed, 1):
            yield RuleCounts(place, int(self._n_series[k]), *self._counts[k].tolist())

    def state(self, n_slots: int) -> Arrays:
        """Return the arrays of a snapshot, as live views."""
        return {"rules.recent": self._recent[:n_slots], "rules.seen": self._seen[:n_slots]}

    def restore(
        self, arrays: Mapping[str, npt.NDArray[np.generic]], live: I32, labels_of: LabelsOf
    ) -> None:
        """Take over a snapshot; series get the rules of the present configuration.

        One of a release without rules has nothing of them, and warm-ups begin.

        Raises
        ------
        KeyError, ValueError
            When it lacks a part.
        """
        if "rules.seen" in arrays or "rules.recent" in arrays:
            n_slots = len(arrays["rules.seen"])
            self.grow(n_slots)
            self._recent[:n_slots] = arrays["rules.recent"]
            self._seen[:n_slots] = arrays["rules.seen"]
        self.admit(live, labels_of)

    def _hold(self, slot: int, number: int) -> None:
        if number == self.columns.numbers[slot]:
            return
        self._n_series[self.columns.numbers[slot]] -= 1
        self._n_series[number] += 1
        self.columns.numbers[slot] = number
        self.columns.seasons[slot] = self._season_of_rule[number]


def claims_of(config: DetectConfig, name: str) -> tuple[bool | None, ...]:
    """Return for each rule whether a River detector watches its series; None: its own match says.

    The first is for series without a rule. A rule that names another detector, or none, names the
    only one that opens anomalies; a challenger looks on wherever somebody judges.
    """
    is_alarming = any(river.alarming for river in config.river if river.name == name)
    claims: list[bool | None] = [None]
    for _, rule in placed_rules(config):
        if name in (rule.detector, rule.challenger):
            claims.append(True)
        elif rule.detector == OFF or (is_alarming and rule.detector != DEFAULT):
            claims.append(False)
        else:
            claims.append(None)
    return tuple(claims)


def chief_of(config: DetectConfig, name: str) -> tuple[bool, ...]:
    """Return for each rule whether it names this detector as who judges; first for no rule."""
    return (False, *(rule.detector == name for _, rule in placed_rules(config)))


def _row(rule: SeriesRule, beyond_score: float) -> list[float]:
    """Return a rule's row of the kernels' table."""
    row = [0.0] * layout.RULE_SIZE
    row[layout.DIRECTION] = _DIRECTIONS[rule.direction]
    row[layout.DEVIATION_MIN] = rule.deviation_min or 0.0
    row[layout.DEVIATION_RATIO_MIN] = rule.deviation_ratio_min or 0.0
    row[layout.VALID_MIN] = -math.inf if rule.valid_min is None else rule.valid_min
    row[layout.VALID_MAX] = math.inf if rule.valid_max is None else rule.valid_max
    row[layout.ABOVE] = math.inf if rule.threshold_above is None else rule.threshold_above
    row[layout.BELOW] = -math.inf if rule.threshold_below is None else rule.threshold_below
    row[layout.BEYOND_SCORE] = beyond_score
    row[layout.WARMUP] = float(rule.warmup_samples or 0)
    row[layout.OTHER] = float(rule.detector != DEFAULT)
    return row
