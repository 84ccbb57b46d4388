import argparse
import contextlib
import io
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import cramjam
import orjson
import pytest
from rich.console import Console

from aiops.cli.demo import PLAYBOOK, add_parser, demo_config, split_listen
from aiops.cli.demo_flow import HISTORY_SPAN_MS, Demo, DemoParts, summarise
from aiops.cli.demo_service import DemoError, ServiceClient, service_environment, stop_process
from aiops.cli.demo_story import (
    action_lines,
    actions_of,
    incident_events,
    strongest_service,
    with_lost_actions,
)
from aiops.cli.demo_view import BANNER, DemoStatus, LiveReporter, PlainReporter
from aiops.clock import ManualClock
from aiops.config import Config
from aiops.domain.action import ActionMode
from aiops.domain.anomaly import Anomaly
from aiops.domain.incident import (
    Incident,
    IncidentChange,
    IncidentEventKind,
    IncidentState,
    Severity,
    TimelineEvent,
)
from aiops.domain.incident_json import incident_to_json
from aiops.evaluate.faults import Fault, FaultKind
from aiops.evaluate.fleet import Fleet
from aiops.remediate.plan import plan_actions
from aiops.remediate.playbook import Playbook
from tests.protobuf_walk import read_varint

NOW_MS = 1_700_000_000_000


def anomaly(service: str, onset_ms: int = NOW_MS, end_ms: int = 0) -> Anomaly:
    labels = (("__name__", "cpu_usage_ratio"), ("service", service))
    return Anomaly(
        anomaly_id=f"{service}-{onset_ms}",
        fingerprint=1,
        labels=labels,
        detector="d",
        onset_ms=onset_ms,
        peak_ms=onset_ms,
        end_ms=end_ms,
        score=9.0,
        value=1.0,
        expected=0.3,
        lower=0.2,
        upper=0.4,
    )


def incident(service: str = "cart", **changes: object) -> Incident:
    base = Incident(
        incident_id=f"I-{service}",
        state=IncidentState.OPEN,
        severity=Severity.WARNING,
        title=f"cpu_usage_ratio of {service}",
        labels=(("service", service),),
        opened_ms=NOW_MS,
        updated_ms=NOW_MS,
        resolved_ms=0,
        acknowledged_by="",
        anomalies=(anomaly(service),),
        alerts=(),
        timeline=(),
    )
    return replace(base, **changes)


def action(at_ms: int, text: str) -> TimelineEvent:
    return TimelineEvent(at_ms, IncidentEventKind.ACTION, text, "restart-service")


def plain(width: int = 60) -> tuple[PlainReporter, io.StringIO]:
    out = io.StringIO()
    return PlainReporter(Console(file=out, width=width), lambda: NOW_MS), out


class FakeService:
    """Takes pushes, and tells the incidents it was given."""

    def __init__(self, clock: ManualClock, push_span_ms: int = 0) -> None:
        self.bodies: list[bytes] = []
        self.told: tuple[Incident, ...] = ()
        self.is_up = True
        self._clock, self._push_span_ms = clock, push_span_ms

    def is_ready(self) -> bool:
        return self.is_up

    def push(self, body: bytes) -> None:
        self.bodies.append(body)
        self._clock.advance(self._push_span_ms)

    def incidents(self) -> tuple[Incident, ...]:
        return self.told


class FakeProcess:
    def __init__(self, returncode: int | None = None) -> None:
        self.returncode = returncode

    def poll(self) -> int | None:
        return self.returncode


def demo(
    *, push_span_ms: int = 0, is_up: bool = True
) -> tuple[Demo, FakeService, Fleet, io.StringIO]:
    """Return a demo in which waiting moves the clock."""
    clock = ManualClock(NOW_MS)
    service = FakeService(clock, push_span_ms)
    service.is_up = is_up
    out = io.StringIO()
    reporter = PlainReporter(Console(file=out), clock.now_ms)
    fleet = Fleet(1, 5)
    parts = DemoParts(
        service, reporter, clock, "http://x:1", sleep=lambda s: clock.advance(round(s * 1000))
    )
    return Demo(parts, fleet, 1), service, fleet, out


def pushed_times(service: FakeService, fleet: Fleet) -> list[int]:
    """Return the times of the first series, read off the wire where its varint must be."""
    times = []
    for body in service.bodies:
        at = 0
        while at < len(body):
            end = at
            for _ in fleet.blocks:
                size, start = read_varint(body, end + 1)
                end = start + size
            times.append(read_varint(body, end - 6)[0])
            at = end
    return times


# --- the course -----------------------------------------------------------------------------


def test_history_covers_two_hours_up_to_now_without_gap_or_repeat():
    run, service, fleet, _ = demo()
    run.fill_history()
    times = pushed_times(service, fleet)
    assert times == list(range(NOW_MS - HISTORY_SPAN_MS, NOW_MS + 1, 5000))


def test_history_catches_up_with_the_time_it_took_to_push():
    run, service, fleet, _ = demo(push_span_ms=1000)
    run.fill_history()
    times = pushed_times(service, fleet)
    took_ms = len(service.bodies) * 1000
    assert took_ms > 60_000
    assert times == list(range(NOW_MS - HISTORY_SPAN_MS, times[-1] + 1, 5000))
    assert NOW_MS + took_ms - 6000 <= times[-1] <= NOW_MS + took_ms


def test_history_progress_ends_at_a_hundred_per_cent():
    run, _, _, out = demo()
    run.fill_history()
    assert "two hours of history: 100%" in out.getvalue()


def test_live_pushes_one_scrape_a_second_for_as_long_as_told():
    run, service, fleet, _ = demo()
    run.run_live(30)
    assert pushed_times(service, fleet) == list(range(NOW_MS + 1000, NOW_MS + 31_000, 1000))


def test_a_slow_service_loses_scrapes_instead_of_piling_them_up():
    run, service, fleet, _ = demo(push_span_ms=3000)
    run.run_live(30)
    times = pushed_times(service, fleet)
    assert times == list(range(NOW_MS + 1000, NOW_MS + 31_000, 3000))


def test_live_breaks_a_service_within_half_a_minute_and_tells_the_truth():
    run, _, fleet, out = demo()
    run.run_live(90)
    fault = fleet.truth()[0]
    assert fault.start_ms <= NOW_MS + 30_000
    assert f"truth: {fault.kind} at {fault.service} for" in out.getvalue()
    assert f"truth: {fault.kind} at {fault.service} is over" in out.getvalue()


def test_an_incident_is_told_once():
    run, service, _, out = demo()
    service.told = (incident(),)
    run.run_live(20)
    assert out.getvalue().count("incident opened") == 1


def test_readiness_is_told_with_the_time_it_took():
    run, _, _, out = demo()
    run.wait_until_ready(FakeProcess())
    assert "ready after 0 s" in out.getvalue()


def test_a_service_that_ends_by_itself_is_an_error():
    run, _, _, _ = demo(is_up=False)
    with pytest.raises(DemoError, match="ended with code 2"):
        run.wait_until_ready(FakeProcess(2))


def test_a_service_that_never_gets_ready_is_given_up():
    run, _, _, out = demo(is_up=False)
    with pytest.raises(DemoError, match="not ready within 180 s"):
        run.wait_until_ready(FakeProcess())
    assert "compiles the kernels" in out.getvalue()


def test_a_demo_that_never_got_to_work_has_nothing_to_sum_up():
    run, _, _, _ = demo()
    assert run.summary() == []
    run.run_live(1)
    assert len(run.summary()) == 2


# --- the summary ----------------------------------------------------------------------------


def fault(service: str = "cart", start_ms: int = NOW_MS) -> Fault:
    return Fault(FaultKind.CPU, service, start_ms, 40_000)


def test_the_summary_tells_onset_and_actions_of_a_fault_that_became_an_incident():
    found = incident(
        anomalies=(anomaly("cart", NOW_MS + 4000),), timeline=(action(NOW_MS + 6000, "dry-run"),)
    )
    assert summarise([fault()], [found], NOW_MS + 60_000) == [
        "  cpu-saturation at cart: 1 incident(s), onset 4 s in, 1 dry-run action(s)",
        "1 incidents in all, 0 of them matched no fault",
    ]


def test_the_summary_says_of_a_fault_that_it_is_still_going_on():
    assert "at cart, still going on: no incident" in summarise([fault()], [], NOW_MS)[0]


def test_the_summary_does_not_credit_another_service_or_another_time():
    others = [
        incident("web", anomalies=(anomaly("web"),)),
        incident("cart", anomalies=(anomaly("cart", NOW_MS - 1),)),
    ]
    lines = summarise([fault()], others, NOW_MS + 60_000)
    assert lines[0].endswith("no incident")
    assert lines[-1] == "2 incidents in all, 2 of them matched no fault"


# --- what is shown --------------------------------------------------------------------------


def test_events_of_an_incident_are_told_by_what_changed():
    opened = incident()
    acted = replace(opened, timeline=(action(NOW_MS, "dry-run: POST http://x"),))
    resolved = replace(acted, state=IncidentState.RESOLVED, resolved_ms=NOW_MS + 31_000)
    assert list(incident_events(None, opened)) == [
        "incident opened [warning], strongest at cart: cpu_usage_ratio of cart"
    ]
    assert list(incident_events(opened, opened)) == []
    assert list(incident_events(opened, acted)) == [
        "action by restart-service: dry-run: POST http://x"
    ]
    assert list(incident_events(acted, resolved)) == [
        "incident resolved after 31 s: cpu_usage_ratio of cart"
    ]
    assert list(incident_events(resolved, acted)) == ["incident reopened: cpu_usage_ratio of cart"]


def test_an_incident_first_seen_when_over_is_told_with_all_that_happened():
    seen = incident(
        state=IncidentState.RESOLVED,
        resolved_ms=NOW_MS + 5000,
        timeline=(action(NOW_MS, "dry-run"),),
    )
    assert [line.split()[1] for line in incident_events(None, seen)] == ["opened", "resolved", "by"]


def test_the_strongest_service_is_that_of_the_highest_score():
    weak, strong = anomaly("web"), replace(anomaly("payments"), score=40.0)
    assert strongest_service(incident(anomalies=(weak, strong))) == "payments"
    assert strongest_service(incident(anomalies=())) == "?"


def test_actions_are_listed_newest_first_and_bounded():
    found = incident(timeline=tuple(action(NOW_MS + k * 1000, f"step {k}") for k in range(9)))
    assert [line[-6:] for line in action_lines([found])] == ["step 8", "step 7", "step 6", "step 5"]


def test_actions_pushed_out_of_a_long_time_line_are_kept_and_not_told_again():
    acted = incident(timeline=(action(NOW_MS, "dry-run"),))
    cut = TimelineEvent(NOW_MS, IncidentEventKind.ACTION, "9 lines left out up to here")
    stormy = incident(timeline=(cut,))
    merged = with_lost_actions(acted, stormy)
    assert actions_of(merged) == [action(NOW_MS, "dry-run")]
    assert list(incident_events(merged, with_lost_actions(merged, acted))) == []
    assert with_lost_actions(None, acted) == acted


def test_plain_lines_are_never_folded_and_carry_the_time():
    reporter, out = plain(width=40)
    reporter.event("x" * 200)
    assert out.getvalue() == f"22:13:20 {'x' * 200}\n"


def test_plain_output_says_at_once_that_the_fleet_is_simulated():
    reporter, out = plain()
    with reporter:
        pass
    assert "SIMULATED FLEET" in out.getvalue()


def test_plain_progress_is_told_in_tenths():
    reporter, out = plain()
    for k in range(101):
        reporter.progress("filling", k / 100)
    lines = out.getvalue().splitlines()
    assert len(lines) == 11
    assert lines[0].endswith("filling: 0%") and lines[-1].endswith("filling: 100%")


def status(**changes: object) -> DemoStatus:
    base = DemoStatus(
        now_ms=NOW_MS + 42_000,
        base_url="http://127.0.0.1:9800",
        n_services=40,
        n_series=700,
        n_samples=1_000_000,
        samples_per_s=700.0,
        truth=(fault("payments", NOW_MS + 10_000),),
        next_fault=fault("web", NOW_MS + 100_000),
        incidents=(incident(),),
        n_anomalies_seen=3,
    )
    return replace(base, **changes)


def drawn(shown: DemoStatus, *events: str) -> str:
    out = io.StringIO()
    console = Console(file=out, width=140, height=60, force_terminal=True, color_system=None)
    with LiveReporter(console, lambda: NOW_MS) as reporter:
        for event in events:
            reporter.event(event)
        reporter.show(shown)
    return out.getvalue()


def test_the_live_view_shows_fleet_truth_incidents_actions_and_addresses():
    acted = incident(timeline=(action(NOW_MS, "dry-run: POST http://x"),))
    text = drawn(status(incidents=(acted,)), "something happened")
    for part in (
        BANNER,
        "40 services, 700 series",
        "700 samples/s",
        "anomalies: 1 now, 3 seen",
        "open incidents: 1",
        "truth: cpu-saturation at payments, 8 s to go",
        "cpu_usage_ratio of cart",
        "42 s",
        "dry-run: POST http://x",
        "22:13:20 something happened",
        "http://127.0.0.1:9800/api/v1/incidents",
        "http://127.0.0.1:9800/metrics",
    ):
        assert part in text


def test_the_live_view_says_when_all_is_well_and_what_is_next():
    text = drawn(status(truth=(), incidents=()))
    assert "all is well, next fault in 58 s" in text
    assert "open incidents: 0" in text
    assert "none so far" in text


def test_the_live_view_draws_no_control_characters_from_outside():
    text = drawn(status(incidents=(incident(title="evil\x07bell"),)))
    assert "\x07" not in text and "evil" in text


# --- the client -----------------------------------------------------------------------------


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.server.seen.append((self.path, dict(self.headers), body))
        status, headers, answer = self.server.answers.pop(0)
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(answer))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        pass


Answer = tuple[int, dict[str, str], bytes]


@contextlib.contextmanager
def answering(*answers: Answer) -> Iterator[tuple[ServiceClient, ThreadingHTTPServer, list[float]]]:
    """Give a client, a server that gives these answers in turn, and the waits of the client."""
    waits: list[float] = []
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        server.daemon_threads = True
        server.answers, server.seen = list(answers), []
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        client = ServiceClient("127.0.0.1", server.server_port, sleep=waits.append)
        try:
            yield client, server, waits
        finally:
            client.close()
            server.shutdown()
            thread.join()


def test_a_push_is_a_snappy_remote_write_request():
    with answering((204, {}, b"")) as (client, server, _):
        client.push(b"body")
        path, headers, body = server.seen[0]
    assert path == "/api/v1/write"
    assert bytes(cramjam.snappy.decompress_raw(body)) == b"body"
    assert headers["Content-Encoding"] == "snappy"
    assert headers["Content-Type"] == "application/x-protobuf"
    assert headers["X-Prometheus-Remote-Write-Version"] == "0.1.0"


def test_an_overloaded_service_gets_the_same_body_again_after_the_time_it_asked_for():
    with answering((503, {"Retry-After": "3"}, b""), (503, {}, b""), (204, {}, b"")) as (
        client,
        server,
        waits,
    ):
        client.push(b"body")
        bodies = [body for _, _, body in server.seen]
    assert waits == [3.0, 1.0]
    assert len(bodies) == 3 and len(set(bodies)) == 1


def test_a_refused_push_is_an_error_with_status_and_reason():
    with (
        answering((400, {}, b"bad label")) as (client, _, _),
        pytest.raises(DemoError, match="400: bad label"),
    ):
        client.push(b"body")


def test_incidents_are_read_from_the_api():
    told = incident(timeline=(action(NOW_MS, "dry-run"),))
    answer = orjson.dumps({"incidents": [incident_to_json(told)]})
    with answering((200, {}, answer)) as (client, server, _):
        assert client.incidents() == (told,)
        assert server.seen[0][0] == "/api/v1/incidents?limit=20"


def test_readiness_is_the_answer_200_and_nothing_else():
    with answering((503, {}, b"starting"), (200, {}, b"")) as (client, _, _):
        assert [client.is_ready(), client.is_ready()] == [False, True]
    assert client.is_ready() is False


def test_a_service_that_is_gone_is_an_error_of_the_demo():
    with answering() as (client, _, _):
        pass
    with pytest.raises(DemoError, match="does not answer"):
        client.push(b"body")


# --- command line, config and child ---------------------------------------------------------


def parsed(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_parser(parser.add_subparsers())
    return parser.parse_args(["demo", *arguments])


def test_every_option_has_a_default_and_can_be_given():
    given = parsed()
    assert (given.listen, given.data_dir, given.seconds) == ("127.0.0.1:9800", None, None)
    assert (given.seed, given.plain) == (1, False)
    given = parsed("--listen", "127.0.0.1:1", "--data-dir", "d", "--seconds", "9", "--plain")
    assert (given.data_dir, given.seconds, given.plain) == (Path("d"), 9, True)


def test_the_generated_configuration_is_valid_and_acts_in_dry_run_only():
    config = Config.model_validate(demo_config(Path("/demo"), "127.0.0.1:9800"))
    assert config.remediate.mode == "dry-run"
    assert config.correlate.quiet_s <= 20
    assert config.data_dir == Path("/demo/data")


def test_the_playbook_is_valid_dry_run_and_aims_at_a_name_that_never_resolves():
    playbook = Playbook.model_validate(PLAYBOOK)
    assert playbook.mode is ActionMode.DRY_RUN
    host = urlsplit(playbook.action.http.url).hostname
    assert host is not None and host.endswith(".invalid")


def test_the_playbook_is_called_for_by_every_incident_that_opens_and_no_guard_refuses_it():
    config = Config.model_validate(demo_config(Path("/demo"), "127.0.0.1:9800")).remediate
    change = IncidentChange(IncidentEventKind.OPENED, incident(labels=()))
    planned = plan_actions(change, [Playbook.model_validate(PLAYBOOK)], config, seq=1, k=0)
    assert [action.mode for action in planned] == [ActionMode.DRY_RUN]


def test_port_nought_becomes_a_free_port():
    host, port = split_listen("127.0.0.1:0")
    assert host == "127.0.0.1" and port > 0


def test_a_taken_port_is_refused_before_anything_starts():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(DemoError, match="choose another --listen"):
            split_listen(f"127.0.0.1:{taken.getsockname()[1]}")


@pytest.mark.parametrize("listen", ["9800", ":9800", "host:", "host:x", "host:70000"])
def test_a_malformed_listen_address_is_refused(listen: str):
    with pytest.raises(DemoError, match="HOST:PORT"):
        split_listen(listen)


def test_settings_from_the_environment_do_not_reach_the_child():
    given = {"AIOPS_SERVER_LISTEN": "x:1", "PATH": "/bin"}
    assert service_environment(given) == {"PATH": "/bin"}


def test_a_child_that_ignores_sigterm_is_killed():
    code = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); "
    code += "signal.pause()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True
    ) as child:
        child.stdout.readline()
        stop_process(child, timeout_s=0.2)
        assert child.returncode == -9


def test_a_child_that_ended_already_is_left_alone():
    with subprocess.Popen([sys.executable, "-c", ""], start_new_session=True) as child:
        child.wait()
        stop_process(child)
        assert child.returncode == 0
