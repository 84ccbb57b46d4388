"""Delivering what the outbox holds: in order, with back-off, until taken or given up.

Every receiver has a worker of its own, so that one that hangs delays nobody else. A message is
marked after it was taken; if the process dies in between it is sent again with the same key.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from aiops.clock import Clock
from aiops.domain.action import Notification
from aiops.errors import StoreError
from aiops.notify.metrics import NotifyMetrics
from aiops.notify.receivers.base import DeliveryError, Receiver
from aiops.store.base import StateAccess
from aiops.telemetry import LogOnChange, log_event

BATCH_MAX = 32
"""Chosen: messages read at once for one receiver; bodies may be 100 KiB each."""

BACKOFF_S_MIN = 1.0
"""Chosen: upper end of the first wait; a restarting receiver is back within seconds."""

IDLE_S = 60.0
"""Chosen: without a call of `notify` the outbox is looked at this often all the same."""

STORE_RETRY_S = 5.0
"""Chosen: wait after a failed read or write of the state store."""

_FOR_EVER_MS = 2**62

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often a message is tried, and the longest wait between tries.

    The wait before try n+1 is drawn evenly from 0 to min(`backoff_s_max`, 2^(n-1) s): "full
    jitter" keeps many instances from returning at the same moment. `random_ratio` draws 0..1.
    """

    attempts_max: int
    backoff_s_max: float
    random_ratio: Callable[[], float]

    def wait_s(self, attempts: int, *, asked_s: float) -> float:
        """Return the wait after `attempts` failures; not less than what the receiver asked for."""
        ceiling_s = min(self.backoff_s_max, BACKOFF_S_MIN * 2.0 ** min(attempts - 1, 60))
        return max(self.random_ratio() * ceiling_s, asked_s)


class OutboxDispatcher:
    """Takes messages from the outbox to their receivers."""

    def __init__(
        self,
        state: StateAccess,
        receivers: Sequence[Receiver],
        *,
        policy: RetryPolicy,
        clock: Clock,
        metrics: NotifyMetrics,
    ) -> None:
        self._state = state
        self._receivers = {receiver.name: receiver for receiver in receivers}
        self._policy = policy
        self._clock = clock
        self._metrics = metrics
        self._wakes = {name: asyncio.Event() for name in self._receivers}
        self._failures = {name: LogOnChange(_log, clock) for name in self._receivers}

    def notify(self) -> None:
        """Wake the workers: new messages are in the outbox. To be called on the event loop."""
        for wake in self._wakes.values():
            wake.set()

    async def run(self) -> None:
        """Deliver until cancelled; returns at once when there are no receivers."""
        await self.drop_orphans()
        async with asyncio.TaskGroup() as group:
            for name in self._receivers:
                group.create_task(self._work(name), name=f"notify.{name}")

    async def deliver_due(self, name: str) -> int:
        """Try the messages now due for a receiver once each and return how many there were.

        Raises StoreError; messages not marked by then are tried again.
        """
        store, now_ms = self._state.store, self._clock.now_ms()
        due = await self._state.run(
            lambda: store.due_notifications(now_ms, limit=BATCH_MAX, receiver=name)
        )
        for message, attempts in due:
            await self._attempt(self._receivers[name], message, attempts + 1)
        pending = await self._state.run(store.outbox_pending)
        self._metrics.outbox_pending.set(sum(pending.values()))
        return len(due)

    async def drop_orphans(self) -> None:
        """Give up messages to receivers that are configured no more."""
        store = self._state.store
        with suppress(StoreError):  # they wait for the next start
            for name in set(await self._state.run(store.outbox_pending)) - set(self._receivers):
                await self._state.run(partial(self._give_up_all, name))

    async def _work(self, name: str) -> None:
        wake = self._wakes[name]
        while True:
            wake.clear()  # before looking, so that what comes meanwhile wakes again
            wait_s = await self._round(name)
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await wake.wait()

    async def _round(self, name: str) -> float:
        """Deliver what is due and return the seconds until something is due again."""
        store = self._state.store
        try:
            await self.deliver_due(name)
            next_ms = await self._state.run(lambda: store.next_notification_ms(name))
        except StoreError as error:
            self._metrics.store_failures.inc()
            self._failures[name].failed("outbox.failed", str(error), receiver=name)
            return STORE_RETRY_S
        if next_ms is None:
            return IDLE_S
        return min(max(0.0, (next_ms - self._clock.now_ms()) / 1000.0), IDLE_S)

    async def _attempt(self, receiver: Receiver, message: Notification, attempts: int) -> None:
        try:
            await receiver.deliver(message)
        except DeliveryError as error:
            await self._failed(message, attempts, error)
        except StoreError:
            raise
        except Exception as error:  # a receiver's fault must not stop the others
            log_event(_log, logging.ERROR, "receiver.crashed", exc_info=error, key=message.key)
            fault = DeliveryError(f"{type(error).__name__}: {error}", retryable=True)
            await self._failed(message, attempts, fault)
        else:
            await self._delivered(message)

    async def _delivered(self, message: Notification) -> None:
        store, now_ms = self._state.store, self._clock.now_ms()
        await self._state.run(lambda: store.mark_delivered(message.key, now_ms))
        self._metrics.deliveries.labels(message.receiver, "delivered").inc()
        self._failures[message.receiver].recovered(
            "notification.recovered", receiver=message.receiver
        )

    async def _failed(self, message: Notification, attempts: int, error: DeliveryError) -> None:
        is_over = not error.retryable or attempts >= self._policy.attempts_max
        retry_at_ms = None if is_over else self._retry_at_ms(attempts, error)
        store, text = self._state.store, str(error)
        await self._state.run(
            lambda: store.mark_failed(message.key, error=text, retry_at_ms=retry_at_ms)
        )
        outcome = "given_up" if is_over else "retried"
        self._metrics.deliveries.labels(message.receiver, outcome).inc()
        name, key = message.receiver, message.key
        if is_over:
            log_event(_log, logging.ERROR, "notification.given_up", key=key, reason=text)
        else:
            self._failures[name].failed("notification.failed", text, receiver=name, key=key)

    def _retry_at_ms(self, attempts: int, error: DeliveryError) -> int:
        wait_s = self._policy.wait_s(attempts, asked_s=error.retry_after_s)
        return self._clock.now_ms() + int(wait_s * 1000)

    def _give_up_all(self, name: str) -> None:
        store = self._state.store
        while due := store.due_notifications(_FOR_EVER_MS, limit=BATCH_MAX, receiver=name):
            for message, _ in due:
                store.mark_failed(message.key, error="receiver was removed", retry_at_ms=None)
                self._metrics.deliveries.labels("removed", "given_up").inc()
