"""The journal's contract: an ordered, durable log of every accepted input."""

from collections.abc import Callable, Iterator
from typing import Protocol

from aiops.domain.records import Body, Record

CommittedCallback = Callable[[list[Record]], None]
"""Called on the journal's thread with records just made durable, in order."""


class Journal(Protocol):
    """Appends are grouped into one durable commit; records come out in order of `seq`."""

    async def append(self, body: Body, *, accepted_ms: int) -> int:
        """Make a record durable and return its `seq`.

        Raises
        ------
        JournalError
            When it could not be made durable; the record then is not in the journal, and neither
            is any that was appended before its caller could know: a record may rely on those
            appended earlier.
        """
        ...

    async def settle(self) -> None:
        """Wait until every append begun so far is durable and handed on, or refused.

        An append whose caller was cancelled goes on; whoever stops waits for it here.
        """
        ...

    def replay(self, after_seq: int) -> Iterator[Record]:
        """Yield every record behind `after_seq`, oldest first; before `start` only."""
        ...

    def fill(self, first_seq: int, last_seq: int, *, at_ms: int) -> None:
        """Put ticks where records were lost, so that their numbers are not given again.

        Before `start` only. `first_seq` lies behind the newest record; the next append is numbered
        behind `last_seq`, also when there is nothing to fill. Raises JournalError.
        """
        ...

    def start(self, committed: CommittedCallback) -> None:
        """Begin to take appends and hand committed records on."""
        ...

    def trim(self, up_to_seq: int) -> None:
        """Forget records up to and including `up_to_seq`; a snapshot has them."""
        ...

    def last_seq(self) -> int:
        """Return the `seq` of the newest durable record, 0 for an empty journal."""
        ...

    def close(self) -> None:
        """Commit what waits, refuse what comes, release the file."""
        ...
