"""The tree of groups by labels: every series, `job`, `instance`; columns, one row a group.

Row 0 is the root. A group lives as long as it has members or smaller groups; its row is used
again afterwards.
"""

from collections.abc import Iterable, Mapping
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from aiops.detect.arrays import grown
from aiops.domain.labels import Labels, label_value, labels_from
from aiops.domain.samples import F64, I32, I64, U8

ROOT = 0
FREE = -2
"""Parent of a row that no group has."""

_GROUPS_MIN = 16
HABIT_HALF_LIFE_MS = 7 * 86_400_000
"""Chosen: a fleet has a weekly rhythm; what came and went two weeks ago still counts a quarter."""

SETTLED_MS = 3_600_000
"""Chosen: groups that show up within an hour of their parent were there all along; only later
ones are newcomers."""

_INT_COLUMNS = ("born_ms", "newborn_ms", "clock_ms", "resumed_ms", "first_ms")
_FLOAT_COLUMNS = ("arrivals", "returns")


class AbsenceGroups:
    """Groups of series by their labels, with what is remembered about each.

    Parameters
    ----------
    names
        Labels that make groups, largest first. A series without one of them belongs to the group
        it has reached by then.

    Notes
    -----
    `clock_ms` is the newest arrival at the last sweep, `resumed_ms` when the group was last heard
    again after a pause, `newborn_ms` when a member or smaller group last joined. `arrivals`
    counts smaller groups that joined late and `returns` the group's own returns from an end by
    markers; both fade (`HABIT_HALF_LIFE_MS`). `reasons` is 0 or 1 + the reason that is open.
    """

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        self.parents: I32 = np.full(_GROUPS_MIN, FREE, np.int32)
        self.n_members: I32 = np.zeros(_GROUPS_MIN, np.int32)
        self.born_ms: I64 = np.zeros(_GROUPS_MIN, np.int64)
        self.newborn_ms: I64 = np.zeros(_GROUPS_MIN, np.int64)
        self.clock_ms: I64 = np.zeros(_GROUPS_MIN, np.int64)
        self.resumed_ms: I64 = np.zeros(_GROUPS_MIN, np.int64)
        self.first_ms: I64 = np.zeros(_GROUPS_MIN, np.int64)
        self.arrivals: F64 = np.zeros(_GROUPS_MIN)
        self.returns: F64 = np.zeros(_GROUPS_MIN)
        self.reasons: U8 = np.zeros(_GROUPS_MIN, np.uint8)
        self.watched: U8 = np.zeros(_GROUPS_MIN, np.uint8)
        self._ids: dict[Labels, int] = {(): ROOT}
        self._labels: dict[int, Labels] = {ROOT: ()}
        self._free: list[int] = []
        self.n_rows = 1
        self.parents[ROOT] = -1

    def join(self, labels: Labels, now_ms: int) -> int:
        """Count a new series into its smallest group and return that; groups are made as needed."""
        group = self._reach(self._path(labels), now_ms)
        self.n_members[group] += 1
        self.newborn_ms[group] = now_ms
        return group

    def leave(self, groups: Iterable[int]) -> list[int]:
        """Take one series out of each of these groups; return the groups that end with it."""
        ended = []
        for start in groups:
            self.n_members[start] -= 1
            group = start
            while group != ROOT and self.n_members[group] == 0:
                parent = int(self.parents[group])
                ended.append(group)
                self._release(group)
                self.n_members[parent] -= 1
                group = parent
        return ended

    def labels(self, group: int) -> Labels:
        """Return the labels of a group: those that make it.

        A group with nothing but one smaller group in it is told by that one, which says more.
        """
        while True:
            children = np.flatnonzero(self.parents[: self.n_rows] == group)
            if len(children) != 1 or self.n_members[group] != 1:
                return labels_from(dict(self._labels[group]))
            group = int(children[0])

    def fingerprint(self, group: int) -> int:
        """Return a number that names the group in every process and at every time."""
        text = "\0".join(part for pair in self._labels[group] for part in pair)
        return int.from_bytes(blake2b(text.encode(), digest_size=8, person=b"absence").digest())

    def fade(self, span_ms: int) -> None:
        """Let habits count less, `span_ms` after the last time."""
        keep = 0.5 ** (span_ms / HABIT_HALF_LIFE_MS)
        self.arrivals *= keep
        self.returns *= keep

    def put_back(self, now_ms: int) -> None:
        """Forget that anything happened after `now_ms`: the receiver's clock was set back."""
        for name in ("born_ms", "newborn_ms", "clock_ms", "resumed_ms"):
            column = getattr(self, name)
            np.minimum(column, now_ms, out=column)

    def below(self, marks: npt.NDArray[np.bool_], *, itself: bool) -> npt.NDArray[np.bool_]:
        """Return which groups lie below a marked one; `itself` adds the marked ones."""
        parents = self.parents[: self.n_rows]
        upper = np.append(marks, False)  # the parent of the root, at index -1, is not marked
        found = np.zeros(len(marks) + 1, np.bool_)
        has_parent = np.where(parents == FREE, -1, parents)
        for _ in range(len(self.names)):
            found[:-1] = (upper | found)[has_parent]
        return found[:-1] | marks if itself else found[:-1]

    def state(self) -> dict[str, npt.NDArray[np.generic]]:
        """Return the columns of a snapshot, as live views; labels are saved with the series."""
        n = self.n_rows
        columns: dict[str, npt.NDArray[np.generic]] = {
            "parents": self.parents[:n],
            "reasons": self.reasons[:n],
            "free": np.array(self._free, np.int32),
        }
        return columns | {
            name: getattr(self, name)[:n] for name in (*_INT_COLUMNS, *_FLOAT_COLUMNS)
        }

    def restore(
        self,
        state: Mapping[str, npt.NDArray[np.generic]],
        members: Iterable[tuple[int, Labels]],
    ) -> None:
        """Take over a snapshot; `members` tells group and labels of each live series."""
        n = len(state["parents"])
        self._reserve(n)
        self.n_rows = n
        self.parents[:n] = state["parents"]
        self.reasons[:n] = state["reasons"]
        for name in (*_INT_COLUMNS, *_FLOAT_COLUMNS):
            getattr(self, name)[:n] = state[name]
        self._free = state["free"].tolist()
        for group, labels in members:
            self._adopt(group, self._path(labels))

    def _adopt(self, group: int, path: Labels) -> None:
        """Count a restored series into its group, and each group it is the first of upwards."""
        self.n_members[group] += 1
        while path not in self._ids:
            self._ids[path], self._labels[group] = group, path
            group, path = int(self.parents[group]), path[:-1]
            self.n_members[group] += 1

    def _path(self, labels: Labels) -> Labels:
        path = []
        for name in self.names:
            value = label_value(labels, name)
            if value == "":
                break
            path.append((name, value))
        return tuple(path)

    def _reach(self, path: Labels, now_ms: int) -> int:
        group = self._ids.get(path)
        if group is not None:
            self.born_ms[group] = self.born_ms[group] or now_ms  # the root's, once
            return group
        parent = self._reach(path[:-1], now_ms)
        group = self._allocate()
        self._ids[path], self._labels[group] = group, path
        self.parents[group] = parent
        self.born_ms[group] = now_ms
        self.n_members[parent] += 1
        self.newborn_ms[parent] = now_ms
        if now_ms - self.born_ms[parent] > SETTLED_MS:
            self.arrivals[parent] += 1.0
        return group

    def _allocate(self) -> int:
        if self._free:
            return self._free.pop()
        self.n_rows += 1
        self._reserve(self.n_rows)
        return self.n_rows - 1

    def _release(self, group: int) -> None:
        del self._ids[self._labels.pop(group)]
        self.parents[group] = FREE
        self.reasons[group] = 0
        for name in (*_INT_COLUMNS, *_FLOAT_COLUMNS):
            getattr(self, name)[group] = 0
        self._free.append(group)

    def _reserve(self, n_rows: int) -> None:
        if n_rows <= len(self.parents):
            return
        capacity = max(n_rows, 2 * len(self.parents))
        parents = np.full(capacity, FREE, np.int32)
        parents[: len(self.parents)] = self.parents
        self.parents = parents
        for name in ("n_members", "reasons", "watched", *_INT_COLUMNS, *_FLOAT_COLUMNS):
            setattr(self, name, grown(getattr(self, name), capacity))
