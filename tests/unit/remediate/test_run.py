"""Actions run at most once, behind every guard, and every end reaches the journal."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from prometheus_client import CollectorRegistry
from remediate_samples import (
    T0_MS,
    Recorder,
    change,
    incident,
    playbook,
    serving,
    settings,
)

from aiops.clock import ManualClock
from aiops.domain.action import ActionOutcome, OutcomeStatus
from aiops.domain.effects import IncidentEffect
from aiops.domain.incident import IncidentState
from aiops.errors import ConfigError, JournalError, StoreError
from aiops.remediate.actions.resolve import open_action_session
from aiops.remediate.plan import plan_actions
from aiops.remediate.playbook import Playbook
from aiops.remediate.run import ActionRunner, RunnerPorts
from aiops.store.base import StateAccess
from aiops.store.memory_state import MemoryStateStore


class FakeNames(AbstractResolver):
    """A name service that answers with the addresses it was given."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host=a, port=port, family=2, proto=0, flags=4)
            for a in self.addresses
        ]

    async def close(self) -> None:
        pass


class Bench:
    """A store with planned actions and runners over it."""

    def __init__(self, session: aiohttp.ClientSession, target: str) -> None:
        self.session = session
        self.target = target
        self.clock = ManualClock(T0_MS)
        self.store = MemoryStateStore(clock=self.clock)
        self.journal: list[ActionOutcome] = []
        self.slept: list[float] = []
        self.config = settings(url_allow=(target,))
        self.registry = CollectorRegistry()

    def book(self, **changes: object) -> Playbook:
        fields = {"url": f"http://{self.target}/x/{{label:service}}", "cool_down_s": 0} | changes
        return playbook(**fields)

    def plan(self, book: Playbook, event: str = "opened", **changes: object) -> None:
        seq = self.store.high_water()[0] + 1
        made = change(event, **changes)
        actions = plan_actions(made, [book], self.config, seq=seq, k=0)
        assert len(actions) == 1
        self.store.apply([IncidentEffect(seq, 0, made.incident, actions=actions)])

    def runner(self, *books: Playbook, **ports: object) -> ActionRunner:
        self.registry = CollectorRegistry()
        defaults = RunnerPorts(
            state=StateAccess(self.store, self.run_in_place),
            session=self.session,
            clock=self.clock,
            registry=self.registry,
            on_outcome=self.take,
            sleep=self.sleep,
            random_ratio=lambda: 1.0,
        )
        return ActionRunner(self.config, books, replace(defaults, **ports))

    async def run_in_place(self, call):
        return call()

    async def take(self, outcome: ActionOutcome) -> None:
        self.journal.append(outcome)

    async def sleep(self, span_s: float) -> None:
        self.slept.append(span_s)

    def ends(self) -> list[tuple[OutcomeStatus, str]]:
        return [(outcome.status, outcome.detail) for outcome in self.journal]

    def audit(self) -> list[str]:
        return [row.kind for row in self.store.audit_rows(after_id=0, limit=99)]


def with_bench(
    scenario: Callable[[Bench, Recorder], Awaitable[None]], answers: tuple[int, ...] = ()
) -> None:
    async def outer() -> None:
        recorder = Recorder(list(answers))
        async with serving(recorder.handle) as target, open_action_session() as session:
            await scenario(Bench(session, target), recorder)

    asyncio.run(outer())


def test_an_action_calls_its_target_once_and_tells_the_journal() -> None:
    async def scenario(bench: Bench, recorder: Recorder) -> None:
        book = bench.book(body={"s": "{severity}"}, headers={"X-Team": "shop"}, method="PUT")
        bench.plan(book)
        runner = bench.runner(book)
        assert [await runner.run_due(), await runner.run_due()] == [1, 0]
        [(method, path, headers, body)] = recorder.seen
        assert (method, path, body) == ("PUT", "/x/cart", b'{"s":"critical"}')
        assert headers["Idempotency-Key"] == "inc-1:restart:opened:1-0"
        assert (headers["X-Team"], headers["Content-Type"]) == ("shop", "application/json")
        assert bench.ends() == [(OutcomeStatus.SUCCEEDED, "HTTP 200 said so")]
        assert bench.audit() == ["action.planned", "action.begun", "action.ended"]
        assert bench.store.unreported_outcomes(limit=9) == []

    with_bench(scenario)


def test_a_dry_run_writes_what_it_would_send_and_sends_nothing() -> None:
    async def scenario(bench: Bench, recorder: Recorder) -> None:
        book = bench.book(mode="dry-run", body={"s": "{severity}"})
        bench.plan(book)
        await bench.runner(book).run_due()
        assert recorder.seen == []
        [(status, detail)] = bench.ends()
        assert status is OutcomeStatus.DRY_RUN
        assert detail == f"would send POST http://{bench.target}/x/cart"
        assert bench.audit() == ["action.planned", "action.begun", "action.ended"]
        begun = bench.store.audit_rows(after_id=1, limit=1)[0]
        assert "critical" in begun.detail

    with_bench(scenario)


def test_the_begin_is_durable_before_the_call() -> None:
    seen: list[list[str]] = []

    async def outer() -> None:
        bench: Bench

        async def handle(request: web.Request) -> web.Response:
            seen.append(bench.audit())
            return web.Response()

        async with serving(handle) as target, open_action_session() as session:
            bench = Bench(session, target)
            book = bench.book()
            bench.plan(book)
            await bench.runner(book).run_due()

    asyncio.run(outer())
    assert seen == [["action.planned", "action.begun"]]


def test_a_store_that_cannot_note_the_begin_prevents_the_call() -> None:
    async def scenario(bench: Bench, recorder: Recorder) -> None:
        class Full(MemoryStateStore):
            def begin_action(self, action, now_ms):
                raise StoreError("disk full")

        bench.store = Full(clock=bench.clock)
        book = bench.book()
        bench.plan(book)
        with pytest.raises(StoreError):
            await bench.runner(book).run_due()
        assert recorder.seen == []

    with_bench(scenario)


def test_an_end_the_store_could_not_note_is_noted_later_as_it_was() -> None:
    async def scenario(bench: Bench, recorder: Recorder) -> None:
        class FullOnce(MemoryStateStore):
            failures = 1

            def end_action(self, outcome, now_ms):
                if self.failures:
                    self.failures -= 1
                    raise StoreError("disk full")
                super().end_action(outcome, now_ms)

        bench.store = FullOnce(clock=bench.clock)
        book = bench.book()
        bench.plan(book)
        runner = bench.runner(book)
        with pytest.raises(StoreError):
            await runner.run_due()
        await runner.run_due()
        assert len(recorder.seen) == 1
        assert [status for status, _ in bench.ends()] == [OutcomeStatus.SUCCEEDED]

    with_bench(scenario)


def test_an_interrupted_action_ends_as_unknown_and_is_not_repeated() -> None:
    async def scenario(bench: Bench, recorder: Recorder) -> None:
        real, dry = bench.book(), bench.book(name="paper", mode="dry-run")
        for book in (real, dry):
            bench.plan(book)
            bench.store.begin_action(bench.store.due_actions(limit=1)[0], T0_MS)
        runner = bench.runner(real, dry)
        await runner.recover()
        await runner.run_due()
        assert recorder.seen == []
        assert [status for status, _ in bench.ends()] == [
            OutcomeStatus.UNKNOWN,
            OutcomeStatus.DRY_RUN,
        ]

    with_bench(scenario)


@pytest.mark.parametrize(
    ("status", "expected"),
    [(204, "succeeded"), (302, "failed"), (404, "failed"), (500, "failed"), (503, "failed")],
)
def test_the_answer_decides_the_outcome(status: int, expected: str) -> None:
    async def scenario(bench: Bench, recorder: Recorder) -> None:
        book = bench.book()
        bench.plan(book)
        await bench.runner(book).run_due()
        [(outcome, detail)] = bench.ends()
        assert (outcome.value, detail.split()[1]) == (expected, str(status))
        assert len(recorder.seen) == 1

    with_bench(scenario, (status,))


def test_only_answers_without_effect_are_tried_again() -> None:
    async def scenario(bench: Bench, recorder: Recorder) -> None:
        book = bench.book(attempts_max=4)
        bench.plan(book)
        await bench.runner(book).run_due()
        assert len(recorder.seen) == 3
        assert {headers["Idempotency-Key"] for _, _, headers, _ in recorder.seen} == {
            "inc-1:restart:opened:1-0"
        }
        assert bench.slept == [1.0, 2.0]
        assert bench.ends()[0][1] == "HTTP 500 said so"

    with_bench(scenario, (503, 429, 500))


def test_an_unreachable_target_has_failed_and_is_tried_again() -> None:
    async def scenario(bench: Bench, recorder: Recorder) -> None:
        async with serving(recorder.handle) as closed:
            pass
        bench.target = closed
        bench.config = settings(url_allow=(closed,))
        book = bench.book(attempts_max=2)
        bench.plan(book)
        await bench.runner(book).run_due()
        [(status, detail)] = bench.ends()
        assert status is OutcomeStatus.FAILED
        assert detail.startswith("not sent: ")
        assert len(bench.slept) == 1

    with_bench(scenario)


def test_no_answer_in_time_is_unknown_and_not_repeated() -> None:
    async def outer() -> None:
        gate = asyncio.Event()
        calls: list[str] = []

        async def hang(request: web.Request) -> web.Response:
            calls.append(request.path)
            await gate.wait()
            return web.Response()

        async with serving(hang) as target, open_action_session() as session:
            bench = Bench(session, target)
            bench.config = settings(url_allow=(target,), timeout_s=0.1)
            book = bench.book(attempts_max=3)
            bench.plan(book)
            await bench.runner(book).run_due()
            gate.set()
        assert bench.ends() == [
            (OutcomeStatus.UNKNOWN, "no answer within 0.1 s; it may have acted")
        ]
        assert len(calls) == 1

    asyncio.run(outer())


def test_a_long_answer_is_cut() -> None:
    async def outer() -> None:
        async def flood(request: web.Request) -> web.StreamResponse:
            answer = web.StreamResponse()
            await answer.prepare(request)
            try:
                while True:
                    await answer.write(b"x" * 65536)
            except ConnectionError:
                return answer

        async with serving(flood) as target, open_action_session() as session:
            bench = Bench(session, target)
            book = bench.book()
            bench.plan(book)
            await bench.runner(book).run_due()
        [(status, detail)] = bench.ends()
        assert status is OutcomeStatus.SUCCEEDED
        assert len(detail) < 600

    asyncio.run(outer())


def refused(bench: Bench, recorder: Recorder) -> str:
    assert recorder.seen == []
    [(status, detail)] = bench.ends()
    assert status is OutcomeStatus.FAILED
    assert detail.startswith("refused: ")
    return detail


def test_the_hourly_limit_refuses_what_is_too_much() -> None:
    async def scenario(bench: Bench, recorder: Recorder) -> None:
        bench.config = settings(url_allow=(bench.target,), actions_per_hour_max=2)
        book = bench.book()
        for n in range(3):
            bench.plan(book, incident_id=f"inc-{n}")
        runner = bench.runner(book)
        await runner.run_due()
        assert len(recorder.seen) == 2
        assert "rate limit" in bench.ends()[2][1]
        bench.clock.advance(3_600_001)
        bench.plan(book, incident_id="inc-9")
        await runner.run_due()
        assert len(recorder.seen) == 3

    with_bench(scenario)


def test_a_playbook_in_cool_down_does_not_act() -> None:
    async def scenario(bench: Bench, recorder: Recorder) -> None:
        book, other = bench.book(cool_down_s=60), bench.book(name="other", cool_down_s=60)
        for planned in (book, other, book):
            bench.plan(planned)
        await bench.runner(book, other).run_due()
        assert len(recorder.seen) == 2
        assert "cool-down" in bench.ends()[2][1]

    with_bench(scenario)


def test_an_incident_resolved_meanwhile_is_not_acted_upon() -> None:
    async def scenario(bench: Bench, recorder: Recorder) -> None:
        book = bench.book()
        bench.plan(book)
        healed = incident(state=IncidentState.RESOLVED, resolved_ms=T0_MS)
        bench.store.apply([IncidentEffect(2, 0, healed)])
        await bench.runner(book).run_due()
        assert "resolved by now" in refused(bench, recorder)

    with_bench(scenario)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"mode": "dry-run"}, "mode is dry-run"),
        ({"mode": "off"}, "mode is off"),
        ({"url_allow": ()}, "not in remediate.url_allow"),
    ],
)
def test_a_config_made_stricter_holds_for_what_was_planned_before(
    changes: dict[str, object], reason: str
) -> None:
    async def scenario(bench: Bench, recorder: Recorder) -> None:
        book = bench.book()
        bench.plan(book)
        bench.config = settings(**{"url_allow": (bench.target,)} | changes)
        await bench.runner(book).run_due()
        assert reason in refused(bench, recorder)

    with_bench(scenario)


def test_a_removed_playbook_does_not_act() -> None:
    async def scenario(bench: Bench, recorder: Recorder) -> None:
        bench.plan(bench.book())
        await bench.runner().run_due()
        assert "configured no more" in refused(bench, recorder)

    with_bench(scenario)


@pytest.mark.parametrize("addresses", [("169.254.169.254",), ("127.0.0.1", "fe80::1")])
def test_a_name_with_a_forbidden_address_is_not_called(addresses: tuple[str, ...]) -> None:
    async def outer() -> None:
        recorder = Recorder()
        async with (
            serving(recorder.handle) as target,
            open_action_session(FakeNames(*addresses)) as session,
        ):
            named = f"deploy.test:{target.partition(':')[2]}"
            bench = Bench(session, named)
            book = bench.book(attempts_max=3)
            bench.plan(book)
            await bench.runner(book).run_due()
            detail = refused(bench, recorder)
        assert "link-local or metadata" in detail
        assert bench.slept == []

    asyncio.run(outer())


def test_a_name_is_called_at_the_address_that_was_checked() -> None:
    async def outer() -> None:
        recorder = Recorder()
        async with (
            serving(recorder.handle) as target,
            open_action_session(FakeNames("127.0.0.1")) as session,
        ):
            named = f"deploy.test:{target.partition(':')[2]}"
            bench = Bench(session, named)
            book = bench.book()
            bench.plan(book)
            await bench.runner(book).run_due()
        [(_, _, headers, _)] = recorder.seen
        assert headers["Host"] == named

    asyncio.run(outer())


def test_an_outcome_the_journal_refused_is_handed_over_again() -> None:
    async def scenario(bench: Bench, recorder: Recorder) -> None:
        book = bench.book()
        bench.plan(book)
        failures = [JournalError("disk full")]

        async def take(outcome: ActionOutcome) -> None:
            if failures:
                raise failures.pop()
            bench.journal.append(outcome)

        runner = bench.runner(book, on_outcome=take)
        with pytest.raises(JournalError):
            await runner.run_due()
        await runner.run_due()
        assert len(bench.journal) == len(recorder.seen) == 1

    with_bench(scenario)


def test_the_loop_recovers_then_wakes_on_notify_and_ends_on_cancel() -> None:
    async def scenario(bench: Bench, recorder: Recorder) -> None:
        told = asyncio.Queue[ActionOutcome]()
        book = bench.book()
        bench.plan(book)
        bench.store.begin_action(bench.store.due_actions(limit=1)[0], T0_MS)
        runner = bench.runner(book, on_outcome=told.put)
        async with asyncio.timeout(20), asyncio.TaskGroup() as group:
            task = group.create_task(runner.run())
            assert (await told.get()).status is OutcomeStatus.UNKNOWN
            bench.plan(book)
            runner.notify()
            assert (await told.get()).status is OutcomeStatus.SUCCEEDED
            task.cancel()
        labels = {"playbook": "restart", "status": "succeeded"}
        assert bench.registry.get_sample_value("aiops_remediate_actions_total", labels) == 1

    with_bench(scenario)


def test_secrets_are_sent_as_headers_and_needed_only_to_act(tmp_path: Path) -> None:
    async def scenario(bench: Bench, recorder: Recorder) -> None:
        book = bench.book(headers={"Authorization": {"file": tmp_path / "token"}})
        with pytest.raises(ConfigError, match="playbook restart: header Authorization"):
            bench.runner(book)
        bench.runner(book.model_copy(update={"mode": "dry-run"}))
        (tmp_path / "token").write_text("Bearer t0ken\n")
        bench.plan(book)
        await bench.runner(book).run_due()
        [(_, _, headers, _)] = recorder.seen
        assert headers["Authorization"] == "Bearer t0ken"
        assert not any("t0ken" in row.detail for row in bench.store.audit_rows(after_id=0, limit=9))

    with_bench(scenario)
