"""The demo's course: wait, fill two hours of history, live data with faults, a summary."""

import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from aiops.cli.demo_service import DemoError, ServiceClient
from aiops.cli.demo_story import actions_of, incident_events, with_lost_actions
from aiops.cli.demo_view import DemoStatus, Reporter
from aiops.clock import Clock
from aiops.domain.incident import Incident
from aiops.domain.labels import label_value
from aiops.evaluate.faults import Fault, FaultSchedule
from aiops.evaluate.fleet import Fleet
from aiops.evaluate.remote_write_encode import ScrapeEncoder

HISTORY_SPAN_MS = 2 * 3_600_000
HISTORY_STEP_MS = 5_000
SCRAPES_PER_PUSH = 20
"""Chosen: 14,000 samples and 2 MB a request, far below the service's limits."""
LIVE_STEP_MS = 1_000
READY_TIMEOUT_S = 180.0
READY_USUAL_S = 45.0
"""Measured: the very first start compiles the kernels for up to 45 s; later ones take a few."""
READY_POLL_S = 0.25
FIRST_FAULT_MS = 15_000
"""Chosen: time to look at a healthy fleet before something breaks."""
INCIDENT_POLL_MS = 2_000
MATCH_SLACK_MS = 15_000
"""Chosen: evidence that began up to this long after a fault's end still counts as its own."""


@dataclass(frozen=True, slots=True)
class DemoParts:
    """What the demo works with; `sleep` waits for seconds."""

    client: ServiceClient
    reporter: Reporter
    clock: Clock
    base_url: str
    sleep: Callable[[float], None] = time.sleep


class Demo:
    """Drives one fleet against one service. Used from one thread.

    Parameters
    ----------
    parts
        The service's client, the view and the time.
    fleet, seed
        The world to simulate, and what decides its faults.
    """

    def __init__(self, parts: DemoParts, fleet: Fleet, seed: int) -> None:
        self._parts = parts
        self._fleet = fleet
        self._encoder = ScrapeEncoder(fleet.blocks)
        self._seed = seed
        self._n_samples = 0
        self._incidents: dict[str, Incident] = {}
        self._told_faults: set[Fault] = set()

    def wait_until_ready(self, process: "subprocess.Popen[bytes]") -> None:
        """Wait for the service.

        Raises
        ------
        DemoError
            When it ends by itself or takes too long.
        """
        clock = self._parts.clock
        started_s = clock.monotonic_s()
        while process.poll() is None:
            waited_s = clock.monotonic_s() - started_s
            if self._parts.client.is_ready():
                self._parts.reporter.event(f"service ready after {waited_s:.0f} s")
                return
            if waited_s > READY_TIMEOUT_S:
                raise DemoError(f"the service was not ready within {READY_TIMEOUT_S:.0f} s")
            detail = "the very first start compiles the kernels, up to 45 s"
            ratio = min(waited_s / READY_USUAL_S, 0.99)
            self._parts.reporter.progress("starting the service", ratio, detail)
            self._parts.sleep(READY_POLL_S)
        raise DemoError(f"the service ended with code {process.returncode}")

    def fill_history(self) -> None:
        """Push two hours of healthy history up to now, as fast as the service takes it."""
        clock = self._parts.clock
        start_ms = _floor(clock.now_ms(), HISTORY_STEP_MS) - HISTORY_SPAN_MS
        next_ms, started_s = start_ms, clock.monotonic_s()
        while next_ms <= clock.now_ms():
            last_ms = min(next_ms + (SCRAPES_PER_PUSH - 1) * HISTORY_STEP_MS, clock.now_ms())
            self._push(range(next_ms, last_ms + 1, HISTORY_STEP_MS))
            next_ms = _floor(last_ms - start_ms, HISTORY_STEP_MS) + start_ms + HISTORY_STEP_MS
            speed = self._n_samples / max(clock.monotonic_s() - started_s, 1e-3)
            ratio = min((next_ms - start_ms) / (clock.now_ms() - start_ms), 1.0)
            self._parts.reporter.progress("two hours of history", ratio, f"{speed:,.0f} samples/s")

    def run_live(self, seconds: float | None) -> None:
        """Push a scrape a second, break services by turns, and show what the service makes of it.

        `seconds` None goes on until something is raised.
        """
        parts = self._parts
        start_ms = _floor(parts.clock.now_ms(), LIVE_STEP_MS) + LIVE_STEP_MS
        schedule = FaultSchedule(
            self._seed, self._fleet.services, first_ms=start_ms + FIRST_FAULT_MS
        )
        parts.reporter.event(f"live: {len(self._fleet.blocks)} samples every second")
        before = self._n_samples
        next_ms = start_ms
        while seconds is None or next_ms < start_ms + seconds * 1000:
            self._wait_until(next_ms)
            self._step(next_ms, schedule)
            span_s = (next_ms - start_ms + LIVE_STEP_MS) / 1000.0
            parts.reporter.show(
                self._status(next_ms, schedule, (self._n_samples - before) / span_s)
            )
            # A slow push loses scrapes, as a busy agent's would be, and never piles them up.
            next_ms = max(next_ms + LIVE_STEP_MS, _floor(parts.clock.now_ms(), LIVE_STEP_MS))

    def summary(self) -> list[str]:
        """Return what came of the faults that are over; nothing if the demo never got to work."""
        if not self._n_samples:
            return []
        now_ms = self._parts.clock.now_ms()
        over = [fault for fault in self._fleet.truth() if fault.end_ms <= now_ms]
        lines = [f"{self._n_samples:,} simulated samples pushed, {len(over)} faults came and went"]
        return lines + summarise(self._fleet.truth(), self._incidents.values(), now_ms)

    def _push(self, times_ms: Iterable[int]) -> None:
        bodies = []
        for ts_ms in times_ms:
            columns = self._fleet.metrics_at(ts_ms)
            bodies.append(self._encoder.encode(ts_ms, columns.values))
        self._parts.client.push(b"".join(bodies))
        self._n_samples += len(bodies) * len(self._fleet.blocks)

    def _step(self, ts_ms: int, schedule: FaultSchedule) -> None:
        for fault in schedule.due(ts_ms):
            self._fleet.inject(fault)
        self._tell_truth(ts_ms)
        self._push((ts_ms,))
        if ts_ms // LIVE_STEP_MS % (INCIDENT_POLL_MS // LIVE_STEP_MS) == 0:
            self._read_incidents()

    def _tell_truth(self, ts_ms: int) -> None:
        active = set(self._fleet.active_faults(ts_ms))
        for fault in active - self._told_faults:
            span_s = fault.duration_ms // 1000
            self._parts.reporter.event(f"truth: {fault.kind} at {fault.service} for {span_s} s")
        for fault in self._told_faults - active:
            self._parts.reporter.event(f"truth: {fault.kind} at {fault.service} is over")
        self._told_faults = active

    def _read_incidents(self) -> None:
        for incident in reversed(self._parts.client.incidents()):
            before = self._incidents.get(incident.incident_id)
            for line in incident_events(before, incident):
                self._parts.reporter.event(line)
            self._incidents[incident.incident_id] = with_lost_actions(before, incident)

    def _status(self, ts_ms: int, schedule: FaultSchedule, samples_per_s: float) -> DemoStatus:
        newest = sorted(self._incidents.values(), key=lambda each: each.opened_ms, reverse=True)
        return DemoStatus(
            now_ms=ts_ms,
            base_url=self._parts.base_url,
            n_services=len(self._fleet.services),
            n_series=len(self._fleet.blocks),
            n_samples=self._n_samples,
            samples_per_s=samples_per_s,
            truth=self._fleet.active_faults(ts_ms),
            next_fault=schedule.upcoming(),
            incidents=tuple(newest),
            n_anomalies_seen=sum(len(each.anomalies) for each in newest),
        )

    def _wait_until(self, ts_ms: int) -> None:
        left_ms = ts_ms - self._parts.clock.now_ms()
        if left_ms > 0:
            self._parts.sleep(left_ms / 1000.0)


def summarise(faults: Iterable[Fault], incidents: Iterable[Incident], now_ms: int) -> list[str]:
    """Return a line for each fault and the incident it became, and how many matched no fault.

    This is a look at one run, not a measure of quality.
    """
    faults, incidents = list(faults), list(incidents)
    lines = []
    matched: set[str] = set()
    for fault in faults:
        own = [incident for incident in incidents if _is_evidence_of(fault, incident)]
        matched.update(incident.incident_id for incident in own)
        still = ", still going on" if fault.end_ms > now_ms else ""
        lines.append(f"  {fault.kind} at {fault.service}{still}: {_outcome(fault, own)}")
    n_other = sum(incident.incident_id not in matched for incident in incidents)
    return [*lines, f"{len(incidents)} incidents in all, {n_other} of them matched no fault"]


def _outcome(fault: Fault, incidents: list[Incident]) -> str:
    if not incidents:
        return "no incident"
    first = min(incidents, key=lambda incident: incident.updated_ms)
    onset_ms = min(_onsets(fault, first))
    n_actions = sum(len(actions_of(incident)) for incident in incidents)
    later_s = max(onset_ms - fault.start_ms, 0) / 1000
    return f"{len(incidents)} incident(s), onset {later_s:.0f} s in, {n_actions} dry-run action(s)"


def _is_evidence_of(fault: Fault, incident: Incident) -> bool:
    return next(_onsets(fault, incident), None) is not None


def _onsets(fault: Fault, incident: Incident) -> Iterator[int]:
    for anomaly in incident.anomalies:
        is_in_time = fault.start_ms <= anomaly.onset_ms <= fault.end_ms + MATCH_SLACK_MS
        if is_in_time and label_value(anomaly.labels, "service") == fault.service:
            yield anomaly.onset_ms


def _floor(ts_ms: int, step_ms: int) -> int:
    return ts_ms // step_ms * step_ms
