"""The one thread that writes the state store: effects in order, and other writes in between."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge

from aiops.domain.effects import IncidentEffect
from aiops.errors import StoreError
from aiops.store.base import StateStore
from aiops.telemetry import log_event
from aiops.worker import Worker, fulfil

_LOG = logging.getLogger(__name__)

T = TypeVar("T")

RETRY_S = 1.0
"""Chosen: a full disk is noticed as mended within a second, at no load to speak of."""

EFFECTS_MAX = 10_000
"""Chosen: effects waiting for the disk; beyond, the engine waits and doors answer 503."""


class StateWriter(Worker):
    """Applies effects in order, retrying until the disk takes them; runs other writes too.

    Parameters
    ----------
    store
        The state store; this thread is its only writer.
    written
        Called on this thread once all effects up to a journal position are durable, with that
        position and whether there were any.
    registry
        Takes the writer's own metrics.
    retry_s
        Time between attempts while the disk does not take effects.
    """

    def __init__(
        self,
        store: StateStore,
        written: Callable[[int, bool], None],
        registry: CollectorRegistry,
        *,
        retry_s: float = RETRY_S,
    ) -> None:
        super().__init__("state-writer")
        self._store = store
        self._retry_s = retry_s
        self._written = written
        self._effects: deque[tuple[int, tuple[IncidentEffect, ...]]] = deque()
        self._calls: deque[Callable[[], None]] = deque()
        self._errors = Counter("aiops_store_state_errors_total", "Failed writes", registry=registry)
        waiting = Gauge("aiops_store_state_waiting", "Effects waiting for disk", registry=registry)
        waiting.set_function(lambda: len(self._effects))
        self.is_healthy = True

    def put(self, seq: int, effects: tuple[IncidentEffect, ...]) -> None:
        """Hand over what a record asked for; waits while the disk is too far behind."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._effects) < EFFECTS_MAX or self._is_closing)
            self._effects.append((seq, effects))
            self._changed.notify_all()

    async def run(self, write: Callable[[], T]) -> T:
        """Run a write of the store on its thread and return what it returned."""
        future: Future[T] = Future()
        with self._changed:
            if self._is_closing:
                raise StoreError("the state store is closed")
            self._calls.append(partial(fulfil, future, write))
            self._changed.notify_all()
        return await asyncio.wrap_future(future)

    def wait_written(self, seq: int, timeout_s: float) -> bool:
        """Wait until effects up to `seq` are durable; tell whether they are."""
        with self._changed:
            return self._changed.wait_for(
                lambda: not self._effects or self._effects[0][0] > seq, timeout_s
            )

    def _step(self) -> bool:
        """Run one call and write all effects; tell whether there is more to come."""
        with self._changed:
            self._changed.wait_for(lambda: self._effects or self._calls or self._is_closing)
            call = self._calls.popleft() if self._calls else None
            batch = list(self._effects)
        if call is not None:
            call()
        if batch and not self._try_apply(batch):
            with self._changed:
                # When closing, the journal still has the records behind these effects.
                self._changed.wait_for(lambda: self._calls or self._is_closing, self._retry_s)
                return not self._is_closing
        return call is not None or bool(batch)

    def _stopped(self, error: Exception | None) -> None:
        if error is not None:
            log_event(_LOG, logging.CRITICAL, "state.stopped", exc_info=error)
            self._errors.inc()
            self.is_healthy = False
        with self._changed:
            calls = list(self._calls)
            self._calls.clear()
        for call in calls:
            call()

    def _try_apply(self, batch: list[tuple[int, tuple[IncidentEffect, ...]]]) -> bool:
        effects = [effect for _, part in batch for effect in part]
        try:
            if effects:
                self._store.apply(effects)
        except StoreError as error:
            self._errors.inc()
            if self.is_healthy:
                log_event(_LOG, logging.ERROR, "state.write_failed", error=str(error))
            self.is_healthy = False
            return False
        self.is_healthy = True
        with self._changed:
            for _ in batch:
                self._effects.popleft()
            self._changed.notify_all()
        self._written(batch[-1][0], bool(effects))
        return True
