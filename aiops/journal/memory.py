"""A journal that lives in memory: for tests, simulation and replay through the real stages."""

from collections import deque
from collections.abc import Iterable, Iterator

from aiops.domain.records import Body, Record, Tick
from aiops.errors import JournalError, OverloadError
from aiops.journal.base import CommittedCallback

RECORDS_MAX = 1_000_000
"""Chosen: far beyond any test, yet a bound, so that a forgotten trim ends in a 503, not in swap."""


class MemoryJournal:
    """Keeps records in a queue and hands each one on before `append` returns.

    It fulfils `journal.base.Journal` except for durability: a crash of the process loses it.
    A restart is simulated with `MemoryJournal(records=old.records())`.

    Parameters
    ----------
    records
        What an earlier journal held, in order of `seq`.
    records_max
        Records held at once; an append beyond it raises OverloadError until `trim` makes room.
    """

    def __init__(self, *, records: Iterable[Record] = (), records_max: int = RECORDS_MAX) -> None:
        self._records = deque(records)
        self._records_max = records_max
        self._last_seq = self._records[-1].seq if self._records else 0
        self._committed: CommittedCallback | None = None
        self._is_closed = False

    async def append(self, body: Body, *, accepted_ms: int) -> int:
        """Keep a record, hand it on, and return its `seq`.

        Raises
        ------
        JournalError
            Before `start` and after `close`.
        OverloadError
            When `records_max` records wait to be trimmed.
        """
        if self._committed is None or self._is_closed:
            raise JournalError("the journal is closed" if self._is_closed else "not started yet")
        if len(self._records) >= self._records_max:
            raise OverloadError("the journal is full until a snapshot trims it")
        record = Record(self._last_seq + 1, accepted_ms, body)
        self._records.append(record)
        self._last_seq = record.seq
        self._committed([record])
        return record.seq

    async def settle(self) -> None:
        """Return at once: an append has handed its record on before it waits for anything."""

    def replay(self, after_seq: int) -> Iterator[Record]:
        """Yield every record behind `after_seq`, oldest first."""
        return iter([record for record in self._records if record.seq > after_seq])

    def fill(self, first_seq: int, last_seq: int, *, at_ms: int) -> None:
        """Put ticks where records were lost, so that their numbers are not given again."""
        self._records.extend(Record(seq, at_ms, Tick()) for seq in range(first_seq, last_seq + 1))
        self._last_seq = last_seq

    def start(self, committed: CommittedCallback) -> None:
        """Begin to take appends; `committed` is called by `append` itself, on its thread."""
        self._committed = committed

    def trim(self, up_to_seq: int) -> None:
        """Forget records up to and including `up_to_seq`; numbering goes on."""
        while self._records and self._records[0].seq <= up_to_seq:
            self._records.popleft()

    def last_seq(self) -> int:
        """Return the `seq` of the newest record ever appended, 0 when there was none."""
        return self._last_seq

    def records(self) -> tuple[Record, ...]:
        """Return the records held now, oldest first."""
        return tuple(self._records)

    def close(self) -> None:
        """Refuse what comes; what was kept stays readable."""
        self._is_closed = True
