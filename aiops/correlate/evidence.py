"""The bounded evidence of one incident: newest versions kept, the weakest shed first."""

import heapq
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

T = TypeVar("T")

OPEN_FACTOR = 10
"""Chosen: ids of open members remembered per member kept. A shed member that still fires must hold
its incident open; beyond this many, it no longer does."""

NEWCOMER = ""
"""Chosen: no member has an empty id."""


class Evidence(Generic[T]):
    """Members of one kind, by id, in order of arrival.

    Parameters
    ----------
    members_max
        Members kept in full.
    keep
        How much a member deserves to be kept; the smallest goes first, among equals the oldest,
        and a newcomer that deserves no more than the weakest is not taken at all.

    Notes
    -----
    `kept` holds the newest version of each member; `open` the ids that still fire with what they
    disturb, kept or shed; `dropped` counts members shed. Cost per member: O(log members_max).
    """

    def __init__(self, *, members_max: int, keep: Callable[[T], float]) -> None:
        self.kept: dict[str, T] = {}
        self.open: dict[str, str] = {}
        self.dropped = 0
        self._members_max = members_max
        self._keep = keep
        self._ordinals: dict[str, int] = {}
        self._ordinal_next = 0
        self._weakest: list[tuple[float, int, str]] = []

    def restore(
        self, members: Iterable[tuple[str, T]], *, open_ids: dict[str, str], dropped: int
    ) -> None:
        """Take over the members of a saved state, shedding where the bound was lowered since."""
        self.open = dict(open_ids)
        self.dropped = dropped
        for member_id, item in members:
            self._append(member_id, item)
        while len(self.kept) > self._members_max:
            self._shed_weakest()

    def n_ever(self) -> int:
        """Return how many members there were so far, shed ones included."""
        return len(self.kept) + self.dropped

    def put(self, member_id: str, item: T, *, source: str, is_open: bool) -> list[str]:
        """Take a new or newer version of a member; return the ids that left for good."""
        is_known = member_id in self.kept or member_id in self.open
        self._mark(member_id, source=source, is_open=is_open)
        if member_id in self.kept:
            self._keep_version(member_id, item)
            return []
        if is_known and not is_open:
            return [member_id]  # it was shed before and has now ended
        return self._take(member_id, item, is_known=is_known)

    def move_out(self, member_id: str) -> None:
        """Give a member up; it counts as dropped."""
        self.open.pop(member_id, None)
        if self.kept.pop(member_id, None) is not None:
            del self._ordinals[member_id]
            self.dropped += 1

    def n_sources(self, enough: int) -> int:
        """Return how many different things are disturbed now, counting no further than enough."""
        sources: set[str] = set()
        for source in self.open.values():
            sources.add(source)
            if len(sources) >= enough:
                break
        return len(sources)

    def _mark(self, member_id: str, *, source: str, is_open: bool) -> None:
        if not is_open:
            self.open.pop(member_id, None)
        elif len(self.open) < OPEN_FACTOR * self._members_max:
            self.open[member_id] = source

    def _take(self, member_id: str, item: T, *, is_known: bool) -> list[str]:
        """Take a member not kept so far, or shed it at once; return the ids that left for good."""
        shed_id = self._make_room(item)
        if shed_id == NEWCOMER:
            self.dropped += not is_known
            return [] if member_id in self.open else [member_id]
        self.dropped -= is_known  # a shed one that is kept after all
        self._append(member_id, item)
        return [] if shed_id is None or shed_id in self.open else [shed_id]

    def _make_room(self, item: T) -> str | None:
        """Shed the weakest if the place is full; None: there was room, NEWCOMER: sheds itself."""
        if len(self.kept) < self._members_max:
            return None
        worth, _, _ = self._find_weakest()
        if self._keep(item) <= worth:
            return NEWCOMER
        return self._shed_weakest()

    def _shed_weakest(self) -> str:
        _, _, weakest_id = self._find_weakest()
        heapq.heappop(self._weakest)
        del self.kept[weakest_id], self._ordinals[weakest_id]
        self.dropped += 1
        return weakest_id

    def _append(self, member_id: str, item: T) -> None:
        self._ordinals[member_id] = self._ordinal_next
        self._ordinal_next += 1
        self._keep_version(member_id, item)

    def _keep_version(self, member_id: str, item: T) -> None:
        self.kept[member_id] = item
        heapq.heappush(self._weakest, (self._keep(item), self._ordinals[member_id], member_id))
        if len(self._weakest) > 2 * len(self.kept) + 16:
            self._weakest = [self._entry(known_id) for known_id in self.kept]
            heapq.heapify(self._weakest)

    def _find_weakest(self) -> tuple[float, int, str]:
        # entries of older versions stay in the heap until they surface here
        while self._weakest[0] != self._current(self._weakest[0][2]):
            heapq.heappop(self._weakest)
        return self._weakest[0]

    def _current(self, member_id: str) -> tuple[float, int, str] | None:
        return self._entry(member_id) if member_id in self.kept else None

    def _entry(self, member_id: str) -> tuple[float, int, str]:
        return (self._keep(self.kept[member_id]), self._ordinals[member_id], member_id)
