"""Which slot each feature of a sample has, for detectors of several features."""

from collections.abc import Collection, Mapping

import numpy as np
import numpy.typing as npt

from aiops.detect.arrays import restored
from aiops.detect.river.detector import Arrays, Name
from aiops.domain.samples import I32, I64


class Roster:
    """Gives slots to names, up to a bound; beyond it the longest unheard name loses its slot.

    Parameters
    ----------
    size_max
        Slots there are. Of a sample with more features the rest is refused and counted.
    """

    def __init__(self, size_max: int) -> None:
        self.refused_total = 0
        self._slots: dict[Name, int] = {}
        self._names: list[Name] = []
        # sample in which the name of each slot was last heard, and the number of the present one
        self._heard: I64 = np.zeros(size_max, np.int64)
        self._now = 0

    @property
    def n_slots(self) -> int:
        """Slots given so far."""
        return len(self._names)

    def seat(self, names: Collection[Name]) -> tuple[I32, list[int]]:
        """Give the names of one sample their slots.

        Returns
        -------
        slots
            That of each name, in order, -1 if it was refused.
        fresh
            Slots that have a new name: what they learnt is void. New names take their slots in
            the order of their text, so that the order of a dict does not matter.
        """
        self._now += 1
        slots: I32 = np.array([self._slots.get(name, -1) for name in names], np.int32)
        is_known = slots >= 0
        self._heard[slots[is_known]] = self._now
        if is_known.all():
            return slots, []
        fresh = [self._give(name) for name in sorted(names, key=repr) if self._is_welcome(name)]
        return np.array([self._slots.get(name, -1) for name in names], np.int32), fresh

    def name_of(self, slot: int) -> Name:
        """Return the name that has a slot."""
        return self._names[slot]

    def copy_from(self, other: "Roster") -> None:
        """Become equal to another roster of the same bound."""
        self.refused_total = other.refused_total
        self._slots = dict(other._slots)
        self._names = list(other._names)
        np.copyto(self._heard, other._heard)
        self._now = other._now

    def names(self) -> list[Name]:
        """Return the names by their slots."""
        return list(self._names)

    def state(self) -> Arrays:
        """Return what is to be saved besides the names."""
        return {
            "heard": self._heard[: len(self._names)],
            "counts": np.array([self._now, self.refused_total], np.int64),
        }

    def restore(self, names: list[Name], arrays: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Take over the names and arrays of a saved roster.

        Raises
        ------
        SnapshotError
            When an array is missing or has another shape or type.
        """
        self._names = list(names)
        self._slots = {name: slot for slot, name in enumerate(names)}
        self._heard = restored(arrays, "heard", self._heard, len(names))
        counts = restored(arrays, "counts", np.zeros(2, np.int64), 2)
        self._now, self.refused_total = counts.tolist()

    def _is_welcome(self, name: Name) -> bool:
        """Tell whether a name is to get a slot; one that finds none is counted."""
        if name in self._slots:
            return False
        if len(self._names) < len(self._heard) or int(self._heard.min()) < self._now:
            return True
        self.refused_total += 1
        return False

    def _give(self, name: Name) -> int:
        slot = len(self._names)
        if slot < len(self._heard):
            self._names.append(name)
        else:
            slot = int(self._heard.argmin())
            del self._slots[self._names[slot]]
            self._names[slot] = name
        self._slots[name] = slot
        self._heard[slot] = self._now
        return slot
