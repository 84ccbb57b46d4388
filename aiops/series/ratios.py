"""Ratios of counters: which series count for which, and what they come to."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from aiops.config_derived import RatioRule
from aiops.domain.labels import METRIC_NAME, Labels, label_value, labels_from
from aiops.domain.matchers import Matchers, match_all
from aiops.domain.samples import F64, I32, I64, STALE_BITS, U64
from aiops.domain.selector import parse_selector
from aiops.errors import ConfigError, QueryError
from aiops.series.derived import Signals, is_saved, with_rows
from aiops.series.kernels import ratios as layout
from aiops.series.kernels.ratios import k_ratios_add

Arrays = dict[str, npt.NDArray[np.generic]]
Key = tuple[int, Labels]
"""Number of a rule, and the labels of one of its ratios."""
_ROWS_MIN = 64


class Ratios:
    """Windows over the increases of all series that a ratio is made of.

    Parameters
    ----------
    rules
        What is divided by what, and how many observations that takes.
    groups_max
        Ratios at most, over all rules; series of further ones count for none.
    capacity
        Number of slots.

    Raises
    ------
    ConfigError
        When a numerator or denominator is no series selector.

    Notes
    -----
    *Sample size.* The share k / n of n requests strays by sqrt(p (1 - p) / n) by chance, so one
    error of two requests says nothing of a service that fails once in a hundred. Instead of
    weighing each value, every value is given enough weight: a window goes on until
    `observations_min` came in, and is then one value, the plain ratio. So values of one series are
    about equally sure, which a detector that learns their spread takes for granted, and the value
    that is stored is the one that was judged. (Shrinking towards the long-run ratio, as Agresti and
    Coull 1998, doi:10.1080/00031305.1998.10480550, would instead hide what is new, and store
    another value than is judged.) A window that got too old is given up.

    *Windows* close after a batch, one step after they began at the earliest, so that numerator
    and denominator of one scrape are in the same one, in whatever order they came. Of a backlog in
    one batch there is one value.

    *Limits.* The first sample of a series is no increase, as with Prometheus' `rate`: an error
    counter that appears with the first error counts from the second one on. Series of which two
    requests bring one scrape may fall into two windows.
    """

    def __init__(self, rules: Sequence[RatioRule], groups_max: int, capacity: int) -> None:
        self.refused_total = 0
        self._rules = tuple(rules)
        self._sides = [side for n, rule in enumerate(rules) for side in _sides_of(n, rule)]
        self._steps = np.array([[1000 * r.step_s, 1000 * r.window_s] for r in rules], np.int64)
        self._least = np.array([rule.observations_min for rule in rules], np.float64)
        self._groups_max = groups_max
        self._numbers: dict[Key, int] = {}
        self._keys: dict[int, Key] = {}
        self._heads: I32 = np.zeros(capacity, np.int32)
        self._newest: F64 = np.full(capacity, math.nan)
        self._members: I32 = np.zeros((_ROWS_MIN, layout.MEMBERS_SIZE), np.int32)
        self._sums: F64 = np.zeros((_ROWS_MIN, layout.SUMS_SIZE))
        self._groups: I64 = np.zeros((_ROWS_MIN, layout.GROUPS_SIZE), np.int64)
        self._rule_of: I32 = np.zeros(_ROWS_MIN, np.int32)
        self._free_members: list[int] = []
        self._free_groups: list[int] = []
        self._n_members = 0
        self._n_groups = 0

    @property
    def n_live(self) -> int:
        """Ratios that have series."""
        return len(self._numbers)

    @property
    def n_families(self) -> int:
        """Numbers of ratios ever in use at once; each is below that."""
        return self._n_groups

    def grow(self, capacity: int) -> None:
        """Make room for at least `capacity` slots."""
        n_slots = len(self._heads)
        self._heads = with_rows(self._heads, capacity)
        self._newest = with_rows(self._newest, capacity)
        self._newest[n_slots:] = math.nan

    def join(self, slot: int, labels: Labels) -> None:
        """Let a new series count for all ratios that it matches."""
        self._newest[slot] = math.nan
        for rule_number, side, matchers in self._sides:
            if match_all(matchers, labels):
                group = self._group(rule_number, labels)
                if group < 0:
                    self.refused_total += 1
                else:
                    self._add_member(slot, group, side)

    def leave(self, slot: int) -> list[int]:
        """Let a series count no more; return the ratios that have none left."""
        gone = []
        is_live = not math.isnan(self._newest[slot])
        member = int(self._heads[slot])
        self._heads[slot] = 0
        self._newest[slot] = math.nan
        while member:
            group = int(self._members[member - 1, layout.GROUP])
            self._free_members.append(member - 1)
            member = int(self._members[member - 1, layout.NEXT])
            self._groups[group, layout.N_LIVE] -= is_live
            self._groups[group, layout.N_MEMBERS] -= 1
            if self._groups[group, layout.N_MEMBERS] == 0:
                gone.append(group)
                self._free_group(group)
        return gone

    def families_of(self, slots: I32) -> I32:
        """Return the ratios that these slots count for, each once."""
        found = {group for slot in slots.tolist() for group in self._groups_of(slot)}
        return np.array(sorted(found), np.int32)

    def labels(self, group: int) -> Labels:
        """Return the labels of a live ratio, its name among them."""
        rule_number, by = self._keys[group]
        return labels_from({**dict(by), METRIC_NAME: self._rules[rule_number].name})

    def take(self, slots: I32, ts_ms: I64, bits: U64) -> Signals | None:
        """Take in kept rows of a batch; return the ratios of windows that it closes, if any."""
        if not self._numbers:
            return None
        state = (self._heads, self._newest, self._members, self._sums, self._groups)
        k_ratios_add(slots, ts_ms, bits, *state)
        groups, sums = self._groups[: self._n_groups], self._sums[: self._n_groups]
        rules = self._rule_of[: self._n_groups]
        is_open = groups[:, layout.START_MS] > 0
        has_ended = is_open & (groups[:, layout.N_LIVE] == 0)
        span_ms = groups[:, layout.NEWEST_MS] - groups[:, layout.START_MS]
        is_due = is_open & ~has_ended & (span_ms >= self._steps[rules, 0])
        is_told = is_due & (sums[:, layout.DENOMINATOR] >= self._least[rules])
        is_over = is_told | is_due & (span_ms >= self._steps[rules, 1])
        signals = self._told(is_told, has_ended)
        sums[is_over | has_ended] = 0.0
        groups[is_over, layout.START_MS] = groups[is_over, layout.NEWEST_MS]
        groups[has_ended, layout.START_MS] = 0
        return signals

    def state(self, n_slots: int) -> Arrays:
        """Return the arrays of a snapshot, as live views."""
        keys = [self._keys.get(group) for group in range(self._n_groups)]
        free = [self._free_members, self._free_groups]
        return {
            "ratios.rules": _as_bytes(self._spelling()),
            "ratios.keys": _as_bytes(keys),
            "ratios.free": _as_bytes(free),
            "ratios.heads": self._heads[:n_slots],
            "ratios.newest": self._newest[:n_slots],
            "ratios.members": self._members[: self._n_members],
            "ratios.sums": self._sums[: self._n_groups],
            "ratios.groups": self._groups[: self._n_groups],
            "ratios.refused": np.array([self.refused_total], np.int64),
        }

    def is_known_to(self, arrays: Mapping[str, npt.NDArray[np.generic]]) -> bool:
        """Tell whether a snapshot has ratios by these rules.

        Raises
        ------
        SnapshotError
            When a part is missing.
        """
        if not is_saved(self.state(0), arrays, "ratios"):
            return False
        return bool(json.loads(arrays["ratios.rules"].tobytes()) == self._spelling())

    def restore(self, arrays: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Take over a snapshot by these rules."""
        n_slots = len(arrays["ratios.heads"])
        self._heads[:n_slots] = arrays["ratios.heads"]
        self._newest[:n_slots] = arrays["ratios.newest"]
        self._n_members, self._n_groups = len(arrays["ratios.members"]), len(arrays["ratios.sums"])
        self._reserve()
        self._members[: self._n_members] = arrays["ratios.members"]
        self._sums[: self._n_groups] = arrays["ratios.sums"]
        self._groups[: self._n_groups] = arrays["ratios.groups"]
        self._free_members, self._free_groups = json.loads(arrays["ratios.free"].tobytes())
        self.refused_total = int(arrays["ratios.refused"][0])
        for group, key in enumerate(json.loads(arrays["ratios.keys"].tobytes())):
            if key is not None:
                self._enter(group, (key[0], tuple((name, value) for name, value in key[1])))

    def _told(self, is_told: npt.NDArray[np.bool_], has_ended: npt.NDArray[np.bool_]) -> Signals:
        told: I32 = np.flatnonzero(is_told | has_ended).astype(np.int32)
        sums = self._sums[told]
        ended = has_ended[told]
        ratios = sums[:, layout.NUMERATOR] / np.where(ended, 1.0, sums[:, layout.DENOMINATOR])
        bits = np.where(ended, np.uint64(STALE_BITS), ratios.view(np.uint64))
        at_ms = self._groups[told, layout.NEWEST_MS]
        return Signals(told, np.zeros(len(told), np.int32), at_ms, bits)

    def _group(self, rule_number: int, labels: Labels) -> int:
        """Return the ratio of a rule that labels belong to, -1 if there may be no more."""
        pairs = {name: label_value(labels, name) for name in self._rules[rule_number].by}
        key = (rule_number, labels_from(pairs))
        group = self._numbers.get(key)
        if group is not None:
            return group
        if len(self._numbers) >= self._groups_max:
            return -1
        if self._free_groups:
            group = self._free_groups.pop()
        else:
            group, self._n_groups = self._n_groups, self._n_groups + 1
            self._reserve()
        self._enter(group, key)
        return group

    def _enter(self, group: int, key: Key) -> None:
        self._numbers[key], self._keys[group] = group, key
        self._rule_of[group] = key[0]

    def _add_member(self, slot: int, group: int, side: int) -> None:
        if self._free_members:
            member = self._free_members.pop()
        else:
            member, self._n_members = self._n_members, self._n_members + 1
            self._reserve()
        self._members[member] = (group, side, self._heads[slot])
        self._heads[slot] = member + 1
        self._groups[group, layout.N_MEMBERS] += 1

    def _free_group(self, group: int) -> None:
        del self._numbers[self._keys.pop(group)]
        self._groups[group], self._sums[group] = 0, 0.0
        self._free_groups.append(group)

    def _groups_of(self, slot: int) -> Iterator[int]:
        member = int(self._heads[slot])
        while member:
            yield int(self._members[member - 1, layout.GROUP])
            member = int(self._members[member - 1, layout.NEXT])

    def _reserve(self) -> None:
        if self._n_members > len(self._members):
            self._members = with_rows(self._members, 2 * self._n_members)
        if self._n_groups > len(self._groups):
            self._sums = with_rows(self._sums, 2 * self._n_groups)
            self._groups = with_rows(self._groups, 2 * self._n_groups)
            self._rule_of = with_rows(self._rule_of, 2 * self._n_groups)

    def _spelling(self) -> list[list[object]]:
        return [[r.name, r.numerator, r.denominator, list(r.by)] for r in self._rules]


def _sides_of(number: int, rule: RatioRule) -> Iterator[tuple[int, int, Matchers]]:
    for side, text in ((layout.NUMERATOR, rule.numerator), (layout.DENOMINATOR, rule.denominator)):
        try:
            yield number, side, parse_selector(text)
        except QueryError as error:
            raise ConfigError((f"derived.ratios[{number}]: {text!r}: {error}",)) from error


def _as_bytes(value: object) -> npt.NDArray[np.uint8]:
    return np.frombuffer(json.dumps(value).encode(), np.uint8)
