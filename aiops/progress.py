"""How far effects are written: those who wait for a journal position, those who wake on news."""

import asyncio
from collections.abc import Callable

_Waiter = tuple[int, "asyncio.Future[None]"]


class Progress:
    """Carries news from the state writer's thread to the event loop it was made on."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._written_seq = 0
        self._waiters: list[_Waiter] = []
        self._wakers: list[Callable[[], None]] = []

    def wake(self, waker: Callable[[], None]) -> None:
        """Have `waker` called on the loop whenever effects were written."""
        self._wakers.append(waker)

    def written(self, seq: int, has_effects: bool) -> None:
        """Tell that effects up to `seq` are durable (state writer's thread)."""
        # First the position, then the look at who waits; `wait` goes the other way round. So
        # either this sees the waiter or the waiter sees the position.
        self._written_seq = max(self._written_seq, seq)
        if has_effects or self._waiters:
            self._loop.call_soon_threadsafe(self._note, has_effects)

    def call(self, work: Callable[[], None]) -> None:
        """Have `work` called on the loop (any thread)."""
        self._loop.call_soon_threadsafe(work)

    async def wait(self, seq: int) -> None:
        """Return once effects up to `seq` are durable."""
        future: asyncio.Future[None] = self._loop.create_future()
        self._waiters.append((seq, future))
        self._note(has_effects=False)
        await future

    def _note(self, has_effects: bool) -> None:
        written_seq = self._written_seq
        due = [future for at, future in self._waiters if at <= written_seq]
        self._waiters = [waiter for waiter in self._waiters if waiter[0] > written_seq]
        for future in due:
            if not future.done():
                future.set_result(None)
        if has_effects:
            for waker in self._wakers:
                waker()
