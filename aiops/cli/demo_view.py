"""What the demo shows: a live terminal view, or one line per event where there is no terminal."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from aiops.cli.demo_story import action_lines, format_time, strongest_service
from aiops.cli.terminal import cell
from aiops.domain.incident import Incident, IncidentState, Severity
from aiops.evaluate.faults import Fault

EVENTS_MAX = 8
INCIDENTS_MAX = 8
"""Chosen: all of it fits a terminal of 40 lines."""
PROGRESS_STEP_RATIO = 0.1
"""Chosen: ten lines for a whole progress in plain mode."""

BANNER = "SIMULATED FLEET: every metric, service and fault here is made up"
_SEVERITY_STYLE = {
    Severity.CRITICAL: "bold red",
    Severity.WARNING: "yellow",
    Severity.INFO: "cyan",
}


@dataclass(frozen=True, slots=True)
class DemoStatus:
    """All the live view shows. `truth` are the faults that do harm now, times in epoch ms."""

    now_ms: int
    base_url: str
    n_services: int
    n_series: int
    n_samples: int
    samples_per_s: float
    truth: tuple[Fault, ...]
    next_fault: Fault
    incidents: tuple[Incident, ...]
    n_anomalies_seen: int


class Reporter(Protocol):
    """Where the demo tells what happens. Used as a context manager."""

    def __enter__(self) -> Self:
        """Begin to show."""
        ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the terminal as it was."""
        ...

    def progress(self, what: str, done_ratio: float, detail: str = "") -> None:
        """Show how far a long step has come, 0 to 1."""
        ...

    def event(self, text: str) -> None:
        """Tell that something happened."""
        ...

    def show(self, status: DemoStatus) -> None:
        """Show the state of things."""
        ...


class PlainReporter:
    """One line per event, for pipes, logs and `--plain`."""

    def __init__(self, console: Console, now_ms: Callable[[], int]) -> None:
        self._console = console
        self._now_ms = now_ms
        self._reported: tuple[str, float] = ("", 0.0)

    def __enter__(self) -> Self:
        """Print the banner."""
        self.event(BANNER)
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing: every line is already out."""

    def progress(self, what: str, done_ratio: float, detail: str = "") -> None:
        """Print a line whenever another tenth is done."""
        before, told_ratio = self._reported
        if before != what or done_ratio >= min(told_ratio + PROGRESS_STEP_RATIO, 1.0) > told_ratio:
            self._reported = (what, done_ratio)
            self.event(f"{what}: {done_ratio:.0%}" + (f", {detail}" if detail else ""))

    def event(self, text: str) -> None:
        """Print a line with the time."""
        line = f"{format_time(self._now_ms())} {text}"
        self._console.print(line, soft_wrap=True, markup=False, highlight=False)

    def show(self, status: DemoStatus) -> None:
        """Do nothing: the events tell it all."""


class LiveReporter:
    """A view that is redrawn in place; the latest events stay visible."""

    def __init__(self, console: Console, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._live = Live(console=console, auto_refresh=False, vertical_overflow="crop")
        self._events: list[str] = []

    def __enter__(self) -> Self:
        """Take the terminal."""
        self._live.__enter__()
        return self

    def __exit__(self, *details: object) -> None:
        """Give the terminal back, the last picture left standing."""
        self._live.stop()

    def progress(self, what: str, done_ratio: float, detail: str = "") -> None:
        """Draw a bar."""
        bar = ProgressBar(total=1.0, completed=min(done_ratio, 1.0), width=50)
        self._draw(Group(Text(f"{what}  {done_ratio:.0%}  {detail}"), bar))

    def event(self, text: str) -> None:
        """Add a line to the events shown."""
        self._events = [*self._events, f"{format_time(self._now_ms())} {text}"][-EVENTS_MAX:]

    def show(self, status: DemoStatus) -> None:
        """Draw the whole view."""
        self._draw(render_status(status, self._events))

    def _draw(self, body: RenderableType) -> None:
        title = Text(BANNER, style="bold black on yellow")
        self._live.update(Panel(body, title=title), refresh=True)


def render_status(status: DemoStatus, events: Iterable[str]) -> RenderableType:
    """Return the live view of a status."""
    return Group(
        _fleet_line(status),
        _truth_line(status),
        _incident_table(status),
        Text("actions", style="bold"),
        *_or_none(Text("  " + line) for line in action_lines(status.incidents)),
        Text("events", style="bold"),
        *_or_none(Text("  " + line) for line in events),
        _address_line(status.base_url),
    )


def _fleet_line(status: DemoStatus) -> Text:
    live = [
        incident for incident in status.incidents if incident.state is not IncidentState.RESOLVED
    ]
    n_open = sum(not anomaly.end_ms for incident in live for anomaly in incident.anomalies)
    return Text(
        f"{status.n_services} services, {status.n_series} series | "
        f"{status.samples_per_s:,.0f} samples/s, {status.n_samples:,} pushed | "
        f"anomalies: {n_open} now, {status.n_anomalies_seen} seen | open incidents: {len(live)}"
    )


def _truth_line(status: DemoStatus) -> Text:
    if not status.truth:
        wait_s = max((status.next_fault.start_ms - status.now_ms) // 1000, 0)
        return Text(f"truth: all is well, next fault in {wait_s} s", style="green")
    told = "; ".join(
        f"{fault.kind} at {fault.service}, {(fault.end_ms - status.now_ms) // 1000} s to go"
        for fault in status.truth
    )
    return Text(f"truth: {told}", style="bold magenta")


def _incident_table(status: DemoStatus) -> Table:
    table = Table(expand=True, title="incidents")
    for title, justify in (("state", "left"), ("severity", "left"), ("age", "right")):
        table.add_column(title, justify="right" if justify == "right" else "left", no_wrap=True)
    table.add_column("evidence", justify="right", no_wrap=True)
    table.add_column("strongest at", no_wrap=True)
    table.add_column("title", ratio=1)
    for incident in status.incidents[:INCIDENTS_MAX]:
        until_ms = incident.resolved_ms or status.now_ms
        style = "dim" if incident.resolved_ms else _SEVERITY_STYLE[incident.severity]
        table.add_row(
            incident.state.value,
            incident.severity.value,
            f"{max(until_ms - incident.opened_ms, 0) // 1000} s",
            str(len(incident.anomalies) + len(incident.alerts)),
            strongest_service(incident),
            cell(incident.title),
            style=style,
        )
    return table


def _or_none(lines: Iterable[Text]) -> list[Text]:
    return list(lines) or [Text("  none so far", style="dim")]


def _address_line(base_url: str) -> Text:
    return Text(
        f"\nincidents   {base_url}/api/v1/incidents"
        f"\nown metrics {base_url}/metrics"
        f"\nGrafana     add a Prometheus data source with the URL {base_url}"
        "\nCtrl-C ends",
        style="dim",
    )
