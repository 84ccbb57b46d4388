"""The composition root: builds all parts, starts them in the order of the data flow.

The only place that knows every part. Parts close in reverse order of how they were opened, and
what a half-built start has opened is closed as well.
"""

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from aiops import __version__
from aiops.background import Background, Parts
from aiops.clock import Clock, SystemClock
from aiops.config import Config
from aiops.domain.action import ActionOutcome
from aiops.domain.records import Command
from aiops.engine import Engine
from aiops.installation import hash_secrets, lock_directory
from aiops.journal.sqlite import SqliteJournal
from aiops.notify.build import NotifyParts, build_notify
from aiops.notify.receivers.http import open_session
from aiops.notify.rules import receiver_rules
from aiops.pipeline import Core
from aiops.progress import Progress
from aiops.reader import IncidentHistory, LiveReader
from aiops.recovery import Known, recover
from aiops.remediate.actions.resolve import open_action_session
from aiops.remediate.load import load_playbooks
from aiops.remediate.run import ActionRunner, RunnerPorts
from aiops.self_metrics import register_core_metrics
from aiops.serve.admin import AdminApi, Check
from aiops.serve.admission import Admission, Condition
from aiops.serve.alertmanager import AlertmanagerDoor
from aiops.serve.challengers import ChallengerApi
from aiops.serve.drain import stop_serving
from aiops.serve.forecast import ForecastApi
from aiops.serve.incidents import IncidentApi
from aiops.serve.middleware import RequestBorder, readiness_gate
from aiops.serve.prometheus_api import PrometheusApi
from aiops.serve.push import RemoteWriteDoor
from aiops.serve.routes import build_application, build_runner
from aiops.store.base import StateAccess
from aiops.store.sample_reader import SampleReader
from aiops.store.samples import SampleStore
from aiops.store.state import SqliteStateStore
from aiops.store.state_writer import StateWriter
from aiops.telemetry import Metrics, log_event

_LOG = logging.getLogger(__name__)

EXIT_FAILED = 70
"""sysexits.h EX_SOFTWARE: an internal fault; the supervisor should start the service again."""

DRAIN_TIMEOUT_S = 5.0
"""Chosen: with the HTTP drain before it and the snapshot after it the stop stays under 10 s."""

STOP_FLUSH_TIMEOUT_S = 2.0
"""Chosen: with a broken disk the journal's tail serves as well as a snapshot."""


def run_service(config: Config, *, config_path: Path | None) -> int:
    """Run the service until SIGTERM or SIGINT; return the process's exit code.

    Raises
    ------
    ConfigError
        When the configuration points at something that cannot be used.
    """

    async def main() -> int:
        return await Service(config, SystemClock(), config_path=config_path).run()

    return asyncio.run(main())


@dataclass(frozen=True, slots=True)
class _Stores:
    """Everything with a file behind it."""

    journal: SqliteJournal
    samples: SampleStore
    state: SqliteStateStore
    state_writer: StateWriter


@dataclass(frozen=True, slots=True)
class _Graph:
    """All parts, built and not yet started."""

    core: Core
    engine: Engine
    stores: _Stores
    access: StateAccess
    door: RemoteWriteDoor
    notify: NotifyParts
    runner: ActionRunner
    background: Background
    web_runner: web.AppRunner


class Service:
    """One running instance; to be made inside a running event loop.

    Parameters
    ----------
    config
        The whole configuration.
    clock
        Where the shell reads the time.
    config_path
        The file the configuration came from, for messages.
    """

    def __init__(self, config: Config, clock: Clock, *, config_path: Path | None) -> None:
        self._config = config
        self._clock = clock
        self._config_path = config_path
        self._metrics = Metrics()
        self._progress = Progress()
        self._stop = asyncio.Event()
        self._is_recovered = False
        self._is_stopping = False
        self._exit_code = 0

    async def run(self) -> int:
        """Start, serve until told to stop, drain, and return the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._refuse_reload)
        async with AsyncExitStack() as stack:
            stack.callback(lock_directory(self._config.data_dir).close)
            graph = await self._build(stack)
            await self._start(graph, stack)
            await self._serve(graph)
        log_event(_LOG, logging.INFO, "service.stopped", code=self._exit_code)
        return self._exit_code

    async def _build(self, stack: AsyncExitStack) -> _Graph:
        config, clock, registry = self._config, self._clock, self._metrics.registry
        playbooks = load_playbooks(config.remediate.playbooks)
        core = Core(
            config,
            receivers=receiver_rules(config.notify.receivers),
            playbooks=playbooks,
            external_url=external_url(config),
        )
        register_core_metrics(core, registry)
        stores = self._open_stores(stack)
        engine = Engine(
            core,
            stores.state_writer,
            stores.samples,
            clock=clock,
            failed=self._part_failed,
            registry=registry,
        )
        access = StateAccess(stores.state, stores.state_writer.run)
        session = await stack.enter_async_context(open_session())
        actions = await stack.enter_async_context(open_action_session())
        notify = build_notify(
            config.notify, session=session, state=access, clock=clock, registry=registry
        )
        ports = RunnerPorts(access, actions, clock, registry, self._report(stores.journal))
        door = self._door(stores, engine)
        reader = LiveReader(engine, stores.samples, SampleReader(config.data_dir))
        stack.callback(reader.close)
        return _Graph(
            core,
            engine,
            stores,
            access,
            door,
            notify,
            ActionRunner(config.remediate, playbooks, ports),
            self._background(stores, access, engine, door),
            self._web(stores, access, door, reader),
        )

    def _open_stores(self, stack: AsyncExitStack) -> _Stores:
        config, registry = self._config, self._metrics.registry
        directory = config.data_dir
        journal = SqliteJournal(directory / "journal.db", config.journal, registry)
        stack.callback(journal.close)
        samples = SampleStore(
            directory, retention_days=config.store.retention_days, registry=registry
        )
        state = SqliteStateStore(directory / "state.db", clock=self._clock)
        stack.callback(state.close)
        return _Stores(
            journal, samples, state, StateWriter(state, self._progress.written, registry)
        )

    def _door(self, stores: _Stores, engine: Engine) -> RemoteWriteDoor:
        config = self._config
        rows_max = config.engine.queue_rows_max
        conditions = (
            Condition("scoring is behind", lambda: engine.queued_rows > rows_max),
            Condition("samples cannot be stored", lambda: not stores.samples.is_healthy),
            Condition("incidents cannot be stored", lambda: not stores.state_writer.is_healthy),
        )
        admission = Admission(
            bytes_max=config.server.body_bytes_in_flight_max, conditions=conditions
        )
        return RemoteWriteDoor(
            config,
            hash_secrets(config.data_dir),
            journal=stores.journal,
            admission=admission,
            clock=self._clock,
            registry=self._metrics.registry,
        )

    def _background(
        self, stores: _Stores, access: StateAccess, engine: Engine, door: RemoteWriteDoor
    ) -> Background:
        return Background(
            Parts(
                self._config,
                self._clock,
                stores.journal,
                engine,
                stores.samples,
                access,
                stores.state_writer,
                door.intake.directory,
                self._metrics.registry,
            )
        )

    def _web(
        self, stores: _Stores, access: StateAccess, door: RemoteWriteDoor, reader: LiveReader
    ) -> web.AppRunner:
        config, registry = self._config, self._metrics.registry
        alerts = AlertmanagerDoor(
            stores.journal, self._clock, config.server.body_bytes_max, registry
        )
        incidents = IncidentApi(access, self._submit(stores.journal))
        admin = AdminApi(self._checks(stores), self._metrics.exposition)
        prometheus = PrometheusApi(reader, IncidentHistory(access), self._clock, __version__)
        challengers = ChallengerApi(reader.challengers)
        parts = (
            admin,
            door,
            alerts,
            incidents,
            challengers,
            ForecastApi(reader.forecasts),
            prometheus,
        )  # the last has the catch-all route
        application = build_application(
            [route for part in parts for route in part.routes()],
            [
                RequestBorder(self._clock, registry).middleware,
                readiness_gate(lambda: self._is_recovered),
            ],
            body_bytes_max=config.server.body_bytes_max,
        )
        return build_runner(application, drain_timeout_s=config.server.drain_timeout_s)

    async def _start(self, graph: _Graph, stack: AsyncExitStack) -> None:
        """Start the parts along the data flow, last stage first."""
        await graph.web_runner.setup()
        stack.push_async_callback(graph.web_runner.cleanup)
        await web.TCPSite(graph.web_runner, *_host_port(self._config.server.listen)).start()
        log_event(_LOG, logging.INFO, "service.listening", address=self._config.server.listen)
        self._progress.wake(graph.notify.dispatcher.notify)
        self._progress.wake(graph.runner.notify)
        stores = graph.stores
        stores.state_writer.start()
        stack.callback(stores.state_writer.close)
        stores.samples.start()
        stack.callback(stores.samples.close)
        await asyncio.to_thread(
            recover,
            graph.core,
            stores.journal,
            self._config.data_dir,
            effects=stores.state_writer,
            rows=stores.samples,
            known=Known(self._clock.now_ms(), stores.state.high_water()[0]),
        )
        graph.door.intake.directory.announce(graph.core.data.table.sent_fingerprints())
        graph.engine.start()
        stack.callback(graph.engine.close)
        stores.journal.start(graph.engine.submit)

    async def _serve(self, graph: _Graph) -> None:
        work = {
            "tick": graph.background.tick(),
            "evict": graph.background.evict(),
            "snapshot": graph.background.snapshot(),
            "retain": graph.background.retain(),
            "notify": graph.notify.dispatcher.run(),
            "remediate": graph.runner.run(),
            **{f"keeper-{n}": keeper.run() for n, keeper in enumerate(graph.notify.keepers)},
        }
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(task, name=name) for name, task in work.items()]
            self._is_recovered = True
            n_series = graph.core.data.table.n_series
            log_event(_LOG, logging.INFO, "service.ready", series=n_series)
            await self._stop.wait()
            self._is_stopping = True
            log_event(_LOG, logging.INFO, "service.draining")
            await stop_serving(graph.web_runner)
            for task in tasks:
                task.cancel()
        if self._exit_code == 0:
            await graph.stores.journal.settle()
            await asyncio.to_thread(graph.engine.drain, DRAIN_TIMEOUT_S)
            await graph.background.snapshot_once(flush_timeout_s=STOP_FLUSH_TIMEOUT_S)

    def _checks(self, stores: _Stores) -> tuple[Check, ...]:
        def unless(is_fine: Callable[[], bool], text: str) -> Callable[[], str]:
            return lambda: "" if is_fine() else text

        return (
            Check("start", unless(lambda: self._is_recovered, "the journal is being replayed")),
            Check("stop", unless(lambda: not self._is_stopping, "draining")),
            Check("journal", unless(lambda: stores.journal.is_healthy, "cannot be written")),
            Check("samples", unless(lambda: stores.samples.is_healthy, "cannot be written")),
            Check("state", unless(lambda: stores.state_writer.is_healthy, "cannot be written")),
        )

    def _submit(self, journal: SqliteJournal) -> Callable[[Command], Awaitable[None]]:
        async def submit(command: Command) -> None:
            seq = await journal.append(command, accepted_ms=self._clock.now_ms())
            await self._progress.wait(seq)

        return submit

    def _report(self, journal: SqliteJournal) -> Callable[[ActionOutcome], Awaitable[None]]:
        async def report(outcome: ActionOutcome) -> None:
            await journal.append(outcome, accepted_ms=self._clock.now_ms())

        return report

    def _part_failed(self, error: BaseException) -> None:
        """End the process: state that no replay gives again must not be served."""
        self._exit_code = EXIT_FAILED
        self._progress.call(self._stop.set)
        log_event(_LOG, logging.CRITICAL, "service.failed", error=repr(error))

    def _refuse_reload(self) -> None:
        log_event(
            _LOG,
            logging.WARNING,
            "config.reload_refused",
            path=str(self._config_path or ""),
            reason="settings are read at start only",
            remedy="aiops check FILE, then restart; nothing acknowledged is lost by it",
        )


def external_url(config: Config) -> str:
    """Return the address people reach the service at, without a slash at its end."""
    return (config.server.external_url or f"http://{config.server.listen}").rstrip("/")


def _host_port(listen: str) -> tuple[str, int]:
    host, _, port = listen.rpartition(":")
    return host.strip("[]"), int(port)
