"""Running planned actions: one at a time, begun durably before the call, never twice.

An action whose process died between call and answer ends as unknown and is not tried again. The
outcome is kept in the store until the journal has it.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import aiohttp
from prometheus_client import CollectorRegistry, Counter

from aiops.clock import Clock
from aiops.config import RemediateConfig
from aiops.domain.action import ActionMode, ActionOutcome, OutcomeStatus, PlannedAction
from aiops.domain.verdict import Verdict, allow, refuse
from aiops.errors import JournalError, NotFoundError, OverloadError, StoreError
from aiops.remediate.actions.headers import resolve_headers
from aiops.remediate.actions.http import CallResult, call_http
from aiops.remediate.guard import (
    check_cool_down,
    check_mode,
    check_rate,
    check_still_wanted,
    check_url,
    effective_mode,
)
from aiops.remediate.plan import event_of
from aiops.remediate.playbook import Playbook
from aiops.store.base import StateAccess
from aiops.telemetry import LogOnChange, log_event

BATCH_MAX = 16
"""Chosen: actions read at once; they run one after the other anyway."""

IDLE_S = 60.0
"""Chosen: without a call of `notify` planned actions are looked for this often all the same."""

RETRY_S = 5.0
"""Chosen: wait after a failed read or write of the store or the journal."""

REPEAT_S_MAX = 10.0
"""Chosen: longest wait between two tries of one call; the evidence is fresh only so long."""

HOUR_MS = 3_600_000

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RunnerPorts:
    """What a runner works with.

    Parameters
    ----------
    session
        Made by `open_action_session`.
    on_outcome
        Hands an outcome to the journal; returns when it is durable there. May be called again
        with the same outcome after a crash.
    sleep, random_ratio
        Wait, and chance from 0 to 1, for repeated calls.
    """

    state: StateAccess
    session: aiohttp.ClientSession
    clock: Clock
    registry: CollectorRegistry
    on_outcome: Callable[[ActionOutcome], Awaitable[None]]
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    random_ratio: Callable[[], float] = random.random


class ActionRunner:
    """Takes planned actions from the store and runs them.

    Raises ConfigError when a secret of a playbook that may act cannot be read.
    """

    def __init__(
        self, config: RemediateConfig, playbooks: Sequence[Playbook], ports: RunnerPorts
    ) -> None:
        self._config = config
        self._playbooks = {playbook.name: playbook for playbook in playbooks}
        self._headers = resolve_headers(ActionMode(config.mode), playbooks)
        self._ports = ports
        self._wake = asyncio.Event()
        self._unwritten: dict[str, ActionOutcome] = {}  # at most one while the store works
        self._failures = LogOnChange(_log, ports.clock)
        self._outcomes = Counter(
            "aiops_remediate_actions_total",
            "Actions by how they ended.",
            ["playbook", "status"],
            registry=ports.registry,
        )
        self._interruptions = Counter(
            "aiops_remediate_interruptions_total",
            "Rounds cut short because the state store or the journal failed.",
            registry=ports.registry,
        )

    def notify(self) -> None:
        """Wake the runner: new actions are planned. To be called on the event loop."""
        self._wake.set()

    async def run(self) -> None:
        """End what a crash interrupted, then run actions until cancelled."""
        is_recovered = False
        while True:
            self._wake.clear()  # before looking, so that what comes meanwhile wakes again
            wait_s = IDLE_S
            try:
                if not is_recovered:
                    await self.recover()
                    is_recovered = True
                while await self.run_due():
                    self._failures.recovered("remediation.recovered")
            except (StoreError, JournalError, OverloadError) as error:
                self._interruptions.inc()
                self._failures.failed("remediation.interrupted", str(error))
                wait_s = RETRY_S
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._wake.wait()

    async def recover(self) -> None:
        """End actions that a dead process had begun: nobody knows whether they acted."""
        for action in await self._ports.state.run(self._ports.state.store.interrupted_actions):
            if action.mode is ActionMode.DRY_RUN:
                await self._end(action, _dry_result(action))
                continue
            text = "the process ended between call and answer; it may have acted"
            await self._end(action, CallResult(OutcomeStatus.UNKNOWN, text))

    async def run_due(self) -> int:
        """Run the planned actions, hand on outcomes, and return how many actions there were.

        Raises StoreError, JournalError, OverloadError; what is left is done by the next call.
        """
        store = self._ports.state.store
        await self._write_ends()
        await self._report()
        due = await self._ports.state.run(lambda: store.due_actions(limit=BATCH_MAX))
        for action in due:
            await self._run_one(action)
            await self._report()
        return len(due)

    async def _run_one(self, action: PlannedAction) -> None:
        if action.mode is ActionMode.DRY_RUN:
            await self._begin(action)
            await self._end(action, _dry_result(action))
            return
        verdict = await self._ports.state.run(lambda: self._judge(action))
        if not verdict.is_allowed:
            text = f"refused: {verdict.reason}"
            await self._end(action, CallResult(OutcomeStatus.FAILED, text))
            return
        await self._begin(action)
        await self._end(action, await self._call(action))

    def _judge(self, action: PlannedAction) -> Verdict:
        """Check right before the call what may have changed since the action was planned."""
        store, now_ms = self._ports.state.store, self._ports.clock.now_ms()
        playbook = self._playbooks.get(action.playbook)
        if playbook is None:
            return refuse(f"playbook {action.playbook} is configured no more")
        try:
            state = store.incident(action.incident_id).state
        except NotFoundError:
            return refuse("the incident is gone")
        verdicts = (
            check_mode(effective_mode(ActionMode(self._config.mode), playbook.mode)),
            check_url(action.url, self._config.url_allow),
            check_still_wanted(event_of(action.key), state),
            check_cool_down(
                store.playbook_begun_ms(playbook.name),
                cool_down_s=playbook.cool_down_s,
                now_ms=now_ms,
            ),
            check_rate(
                store.actions_begun_since(now_ms - HOUR_MS),
                actions_per_hour_max=self._config.actions_per_hour_max,
            ),
        )
        refused = [verdict for verdict in verdicts if not verdict.is_allowed]
        return refused[0] if refused else allow("every guard holds")

    async def _call(self, action: PlannedAction) -> CallResult:
        """Call until there is an answer, or the attempts that had no effect are used up."""
        attempts_max = self._playbooks[action.playbook].attempts_max
        result = await self._call_once(action)
        for attempt in range(1, attempts_max):
            if not result.is_repeatable:
                break
            ceiling_s = min(REPEAT_S_MAX, 2.0 ** (attempt - 1))
            await self._ports.sleep(self._ports.random_ratio() * ceiling_s)
            result = await self._call_once(action)
        return result

    async def _call_once(self, action: PlannedAction) -> CallResult:
        headers = self._headers[action.playbook]
        timeout_s = self._config.timeout_s
        try:
            return await call_http(
                self._ports.session, action, headers=headers, timeout_s=timeout_s
            )
        except Exception as error:  # an action's fault must not stop the runner
            log_event(_log, logging.ERROR, "action.crashed", exc_info=error, key=action.key)
            text = f"{type(error).__name__}: {error}; it may have acted"
            return CallResult(OutcomeStatus.UNKNOWN, text)

    async def _begin(self, action: PlannedAction) -> None:
        store, now_ms = self._ports.state.store, self._ports.clock.now_ms()
        await self._ports.state.run(lambda: store.begin_action(action, now_ms))

    async def _end(self, action: PlannedAction, result: CallResult) -> None:
        self._unwritten[action.key] = ActionOutcome(
            key=action.key,
            incident_id=action.incident_id,
            playbook=action.playbook,
            action=action.action,
            status=result.status,
            detail=result.detail,
        )
        self._outcomes.labels(action.playbook, result.status.value).inc()
        log_event(_log, logging.INFO, "action.ended", key=action.key, status=result.status.value)
        await self._write_ends()

    async def _write_ends(self) -> None:
        """Write known outcomes; when the store fails they stay and the next round tries again."""
        now_ms = self._ports.clock.now_ms()
        for key, outcome in list(self._unwritten.items()):
            end = partial(self._ports.state.store.end_action, outcome, now_ms)
            await self._ports.state.run(end)
            del self._unwritten[key]

    async def _report(self) -> None:
        """Hand ended actions to the journal; each stays in the store until that is done."""
        store = self._ports.state.store
        outcomes = await self._ports.state.run(lambda: store.unreported_outcomes(limit=BATCH_MAX))
        for outcome in outcomes:
            await self._ports.on_outcome(outcome)
            await self._ports.state.run(partial(store.mark_reported, outcome.key))


def _dry_result(action: PlannedAction) -> CallResult:
    return CallResult(OutcomeStatus.DRY_RUN, f"would send {action.method} {action.url}")
