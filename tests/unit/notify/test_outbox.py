"""The dispatcher delivers in order, retries with back-off, and gives up."""

import asyncio
from collections.abc import Callable, Coroutine

import pytest
from notify_samples import T0_MS, access, incident, plan, resolved, run_in_place
from prometheus_client import CollectorRegistry

from aiops.clock import ManualClock
from aiops.domain.action import Notification
from aiops.domain.incident import IncidentEventKind
from aiops.errors import StoreError
from aiops.notify.metrics import NotifyMetrics
from aiops.notify.outbox import OutboxDispatcher, RetryPolicy
from aiops.notify.receivers.base import DeliveryError
from aiops.notify.rules import ReceiverRule
from aiops.store.base import StateAccess
from aiops.store.memory_state import MemoryStateStore

OPENED, RESOLVED = IncidentEventKind.OPENED, IncidentEventKind.RESOLVED


class FakeReceiver:
    """Raises the errors it was given, one a call, then takes everything."""

    def __init__(self, name: str, *errors: Exception) -> None:
        self.name = name
        self.errors = list(errors)
        self.tried: list[str] = []
        self.taken: list[str] = []
        self.took = asyncio.Event()

    async def deliver(self, message: Notification) -> None:
        self.tried.append(message.key)
        if self.errors:
            raise self.errors.pop(0)
        self.taken.append(message.key)
        self.took.set()


class Bench:
    """A store, a clock and a dispatcher over fake receivers."""

    def __init__(self, *receivers: FakeReceiver, attempts_max: int = 5, ratio: float = 1.0) -> None:
        self.clock = ManualClock(T0_MS)
        self.store = MemoryStateStore(clock=self.clock)
        self.registry = CollectorRegistry()
        self.dispatcher = self.dispatcher_with(access(self.store), receivers, attempts_max, ratio)

    def dispatcher_with(self, state, receivers, attempts_max=5, ratio=1.0) -> OutboxDispatcher:
        self.registry = CollectorRegistry()
        return OutboxDispatcher(
            state,
            receivers,
            policy=RetryPolicy(attempts_max, 300.0, lambda: ratio),
            clock=self.clock,
            metrics=NotifyMetrics(self.registry),
        )

    def plan(self, name: str, event: IncidentEventKind = OPENED, **changes: object) -> None:
        version = resolved(**changes) if event is RESOLVED else incident(**changes)
        plan(self.store, ReceiverRule(name, "webhook"), event, version)

    def count(self, receiver: str, outcome: str) -> float:
        labels = {"receiver": receiver, "outcome": outcome}
        return self.registry.get_sample_value("aiops_notify_deliveries_total", labels) or 0.0

    def pending(self) -> float | None:
        return self.registry.get_sample_value("aiops_notify_outbox_pending")


def down(retry_after_s: float = 0.0) -> DeliveryError:
    return DeliveryError("HTTP 503", retryable=True, retry_after_s=retry_after_s)


def run(scenario: Callable[[], Coroutine[None, None, None]]) -> None:
    asyncio.run(scenario())


def test_a_due_message_is_delivered_once() -> None:
    async def scenario() -> None:
        chat = FakeReceiver("chat")
        bench = Bench(chat)
        bench.plan("chat")
        assert await bench.dispatcher.deliver_due("chat") == 1
        assert await bench.dispatcher.deliver_due("chat") == 0
        assert chat.taken == ["inc-1:opened:1-0:chat"]
        assert bench.count("chat", "delivered") == 1
        assert bench.pending() == 0

    run(scenario)


def test_a_failed_message_waits_longer_each_time() -> None:
    async def scenario() -> None:
        chat = FakeReceiver("chat", down(), down(), down())
        bench = Bench(chat)
        bench.plan("chat")
        waits: list[int] = []
        for _ in range(3):
            await bench.dispatcher.deliver_due("chat")
            due_ms = bench.store.next_notification_ms("chat")
            assert due_ms is not None
            waits.append(due_ms - bench.clock.now_ms())
            bench.clock.advance(waits[-1] - 1)
            assert await bench.dispatcher.deliver_due("chat") == 0
            bench.clock.advance(1)
        await bench.dispatcher.deliver_due("chat")
        assert waits == [1000, 2000, 4000]
        assert len(chat.taken) == 1
        assert bench.count("chat", "retried") == 3

    run(scenario)


def test_the_wait_is_bounded_and_spread_by_chance() -> None:
    policy = RetryPolicy(1000, 300.0, lambda: 0.5)
    assert policy.wait_s(1, asked_s=0.0) == 0.5
    assert policy.wait_s(900, asked_s=0.0) == 150.0
    assert policy.wait_s(1, asked_s=30.0) == 30.0


def test_a_receivers_own_wish_to_wait_is_honoured() -> None:
    async def scenario() -> None:
        bench = Bench(FakeReceiver("chat", down(retry_after_s=42.0)))
        bench.plan("chat")
        await bench.dispatcher.deliver_due("chat")
        assert bench.store.next_notification_ms("chat") == T0_MS + 42_000

    run(scenario)


def test_a_later_event_waits_for_the_earlier_one_of_its_incident() -> None:
    async def scenario() -> None:
        chat = FakeReceiver("chat", down())
        bench = Bench(chat)
        bench.plan("chat", OPENED)
        bench.plan("chat", RESOLVED)
        bench.plan("chat", OPENED, incident_id="inc-2")
        await bench.dispatcher.deliver_due("chat")
        await bench.dispatcher.deliver_due("chat")
        assert chat.taken == ["inc-2:opened:3-0:chat"]
        bench.clock.advance(1000)
        while await bench.dispatcher.deliver_due("chat"):
            pass
        assert chat.taken[1:] == ["inc-1:opened:1-0:chat", "inc-1:resolved:2-0:chat"]

    run(scenario)


def test_a_permanent_failure_is_given_up_at_once_and_the_next_event_goes_on() -> None:
    async def scenario() -> None:
        chat = FakeReceiver("chat", DeliveryError("HTTP 404", retryable=False))
        bench = Bench(chat)
        bench.plan("chat", OPENED)
        bench.plan("chat", RESOLVED)
        await bench.dispatcher.deliver_due("chat")
        await bench.dispatcher.deliver_due("chat")
        assert chat.taken == ["inc-1:resolved:2-0:chat"]
        assert bench.count("chat", "given_up") == 1
        [row] = bench.store.audit_rows(after_id=0, limit=9)
        assert (row.kind, row.key) == ("notification.given_up", "inc-1:opened:1-0:chat")
        assert "HTTP 404" in row.detail

    run(scenario)


def test_a_message_is_given_up_after_the_last_attempt() -> None:
    async def scenario() -> None:
        chat = FakeReceiver("chat", *[down() for _ in range(9)])
        bench = Bench(chat, attempts_max=3, ratio=0.0)
        bench.plan("chat")
        while await bench.dispatcher.deliver_due("chat"):
            pass
        assert len(chat.tried) == 3
        assert (bench.count("chat", "retried"), bench.count("chat", "given_up")) == (2, 1)

    run(scenario)


def test_a_crashing_receiver_is_a_failed_attempt() -> None:
    async def scenario() -> None:
        chat = FakeReceiver("chat", RuntimeError("bug"))
        bench = Bench(chat, ratio=0.0)
        bench.plan("chat")
        await bench.dispatcher.deliver_due("chat")
        await bench.dispatcher.deliver_due("chat")
        assert len(chat.taken) == 1
        assert bench.count("chat", "retried") == 1

    run(scenario)


def test_messages_to_removed_receivers_are_given_up() -> None:
    async def scenario() -> None:
        bench = Bench(FakeReceiver("chat"))
        bench.plan("gone", OPENED)
        bench.plan("gone", RESOLVED)
        bench.plan("chat")
        await bench.dispatcher.drop_orphans()
        assert bench.store.outbox_pending() == {"chat": 1}
        assert bench.count("removed", "given_up") == 2

    run(scenario)


def test_the_loop_wakes_on_notify_and_ends_on_cancel() -> None:
    async def scenario() -> None:
        chat, mail = FakeReceiver("chat"), FakeReceiver("mail")
        bench = Bench(chat, mail)
        async with asyncio.timeout(20), asyncio.TaskGroup() as group:
            task = group.create_task(bench.dispatcher.run())
            for receiver in (chat, mail):
                bench.plan(receiver.name)
                bench.dispatcher.notify()
                await receiver.took.wait()
            task.cancel()
        assert task.cancelled()

    run(scenario)


def test_a_hanging_receiver_delays_no_other() -> None:
    async def scenario() -> None:
        class Hanging(FakeReceiver):
            async def deliver(self, message: Notification) -> None:
                await asyncio.Event().wait()

        chat = FakeReceiver("chat")
        bench = Bench(Hanging("slow"), chat)
        bench.plan("slow")
        bench.plan("chat")
        async with asyncio.timeout(20), asyncio.TaskGroup() as group:
            task = group.create_task(bench.dispatcher.run())
            await chat.took.wait()
            task.cancel()

    run(scenario)


@pytest.mark.parametrize("n_failures", [1, 2])
def test_a_failing_store_ends_a_round_and_nothing_is_lost(n_failures: int) -> None:
    async def scenario() -> None:
        chat = FakeReceiver("chat")
        bench = Bench(chat)
        left = [n_failures]

        async def flaky(call):
            if left[0] > 0:
                left[0] -= 1
                raise StoreError("disk full")
            return await run_in_place(call)

        dispatcher = bench.dispatcher_with(StateAccess(bench.store, flaky), [chat])
        bench.plan("chat")
        for _ in range(n_failures):
            with pytest.raises(StoreError):
                await dispatcher.deliver_due("chat")
        await dispatcher.deliver_due("chat")
        assert chat.taken == ["inc-1:opened:1-0:chat"]

    run(scenario)
