"""The bounded story of one incident: how it began and what happened last, always."""

from collections import deque
from collections.abc import Iterable

from aiops.domain.incident import IncidentEventKind, TimelineEvent

HEAD_LINES = 50
TAIL_LINES = 150
"""Chosen: the beginning explains the cause and the end the present; a storm fills the middle."""


class Timeline:
    """The first `HEAD_LINES` and newest `TAIL_LINES` events, with one line for those between."""

    def __init__(self) -> None:
        self.n_cut = 0
        self._head: list[TimelineEvent] = []
        self._tail: deque[TimelineEvent] = deque()
        self._newest_cut: TimelineEvent | None = None

    @classmethod
    def restored(cls, lines: Iterable[TimelineEvent], n_cut: int) -> "Timeline":
        """Return the time line that had these `lines()` and this `n_cut`."""
        timeline = cls()
        events = list(lines)
        if n_cut:
            timeline._newest_cut = events.pop(HEAD_LINES)
            timeline.n_cut = n_cut
        timeline._head = events[:HEAD_LINES]
        timeline._tail = deque(events[HEAD_LINES:])
        return timeline

    def add(self, event: TimelineEvent) -> None:
        """Append an event, cutting the oldest of the newest where there are too many."""
        if len(self._head) < HEAD_LINES:
            self._head.append(event)
            return
        self._tail.append(event)
        if len(self._tail) > TAIL_LINES:
            self._newest_cut = self._tail.popleft()
            self.n_cut += 1

    def lines(self) -> tuple[TimelineEvent, ...]:
        """Return the time line as it is shown."""
        if self._newest_cut is None:
            return (*self._head, *self._tail)
        cut = self._newest_cut
        text = f"{self.n_cut} lines left out up to here"
        between = TimelineEvent(cut.at_ms, IncidentEventKind.LINES_CUT, text)
        return (*self._head, between, *self._tail)
