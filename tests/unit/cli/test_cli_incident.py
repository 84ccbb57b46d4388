"""`aiops incident` against a service on loopback that answers what each test gives it."""

import argparse
import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from aiops.cli import incident
from aiops.cli.api_client import ApiClient, RefusedError, UnreachableError
from aiops.domain.alert import Alert
from aiops.domain.anomaly import Anomaly
from aiops.domain.incident import (
    Incident,
    IncidentEventKind,
    IncidentState,
    Severity,
    TimelineEvent,
)
from aiops.domain.incident_json import incident_to_json
from aiops.errors import ConfigError, ConflictError, NotFoundError

OPENED_MS = 1_700_000_000_000


class Service:
    """A service that gives one answer to everything and keeps what it was asked."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.requests: list[tuple[str, str, dict]] = []


@contextlib.contextmanager
def service(answer: object, *, status: int = 200, location: str = "") -> Iterator[Service]:
    raw = answer if isinstance(answer, bytes) else json.dumps(answer).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer()

        def do_POST(self) -> None:
            self.answer()

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            state.requests.append((self.command, self.path, json.loads(body or b"{}")))
            self.send_response(status)
            if location:
                self.send_header("Location", location)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        state = Service(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield state
        finally:
            server.shutdown()
            thread.join()


def make_incident(title: str = "latency of checkout") -> dict[str, object]:
    labels = (("__name__", "latency_s"), ("service", "checkout"))
    return incident_to_json(
        Incident(
            incident_id="i-7",
            state=IncidentState.OPEN,
            severity=Severity.CRITICAL,
            title=title,
            labels=(("service", "checkout"),),
            opened_ms=OPENED_MS,
            updated_ms=OPENED_MS + 1000,
            resolved_ms=0,
            acknowledged_by="",
            anomalies=(
                Anomaly(
                    anomaly_id="a-1",
                    fingerprint=5,
                    labels=labels,
                    detector="baseline",
                    onset_ms=OPENED_MS,
                    peak_ms=OPENED_MS,
                    end_ms=0,
                    score=9.25,
                    value=2.5,
                    expected=0.25,
                    lower=0.125,
                    upper=0.5,
                    quality=("gap",),
                ),
            ),
            alerts=(
                Alert("f", (("alertname", "Slow"),), (), True, OPENED_MS, 0),
                Alert("g", (("job", "x"),), (), False, OPENED_MS, OPENED_MS + 1),
            ),
            timeline=(
                TimelineEvent(OPENED_MS, IncidentEventKind.OPENED, "opened by a-1", "aiops"),
            ),
            dropped=3,
        )
    )


def run(*argv: str) -> int:
    parser = argparse.ArgumentParser()
    incident.add_parser(parser.add_subparsers())
    return incident.run(parser.parse_args(["incident", *argv]))


def test_list_asks_for_the_state_and_the_limit_and_shows_a_row(capsys):
    with service({"incidents": [make_incident()]}) as peer:
        assert run("list", "--url", peer.url, "--state", "open", "--limit", "5") == 0
    assert peer.requests == [("GET", "/api/v1/incidents?limit=5&state=open", {})]
    heading, row = capsys.readouterr().out.splitlines()
    assert heading.split() == ["id", "state", "severity", "opened", "evidence", "title"]
    assert row.rstrip() == (
        "i-7  open   critical  2023-11-14 22:13:20Z  "
        "1 anomalies, 2 alerts, 3 dropped  latency of checkout"
    )


def test_list_without_a_state_asks_for_all(capsys):
    with service({"incidents": []}) as peer:
        assert run("list", "--url", peer.url) == 0
    assert peer.requests[0][1] == "/api/v1/incidents?limit=50"
    assert capsys.readouterr().out == "no incidents\n"


def test_several_states_can_be_asked_for(capsys):
    with service({"incidents": []}) as peer:
        run("list", "--url", peer.url, "--state", "open", "--state", "acknowledged")
    assert peer.requests[0][1].endswith("state=open&state=acknowledged")
    assert capsys.readouterr().out == "no incidents in state open or acknowledged\n"


def test_list_as_json_prints_the_answer_unchanged(capsys):
    answer = {"incidents": [make_incident()]}
    with service(answer) as peer:
        run("list", "--url", peer.url, "--json")
    assert json.loads(capsys.readouterr().out) == answer


def test_show_tells_everything_about_one_incident(capsys):
    with service(make_incident()) as peer:
        assert run("show", "i/7?", "--url", peer.url) == 0
    assert peer.requests == [("GET", "/api/v1/incidents/i%2F7%3F", {})]
    out = capsys.readouterr().out
    for part in (
        "latency of checkout",
        "service=checkout",
        'latency_s{service="checkout"}',
        "9.2",
        "2.5",
        "0.125 … 0.5",
        "gap",
        "one in 1.8 billion (score 9.2)",
        "Slow",
        "firing",
        "resolved",
        "opened by a-1",
    ):
        assert part in out


def test_show_as_json_prints_the_answer_unchanged(capsys):
    with service(make_incident()) as peer:
        run("show", "i-7", "--url", peer.url, "--json")
    assert json.loads(capsys.readouterr().out) == make_incident()


@pytest.mark.parametrize(("verb", "done"), [("ack", "acknowledged"), ("resolve", "resolved")])
def test_orders_carry_author_and_comment(verb, done, capsys):
    with service({}) as peer:
        assert run(verb, "i-7", "--url", peer.url, "--author", "ann", "--comment", "mine") == 0
    order = {"author": "ann", "comment": "mine"}
    assert peer.requests == [("POST", f"/api/v1/incidents/i-7/{verb}", order)]
    assert capsys.readouterr().out == f"i-7: {done}\n"


def test_the_author_is_the_user_who_is_logged_in(monkeypatch):
    monkeypatch.setenv("LOGNAME", "bea")
    with service({}) as peer:
        run("ack", "i-7", "--url", peer.url)
    assert peer.requests[0][2] == {"author": "bea", "comment": ""}


def test_the_address_comes_from_the_environment(monkeypatch, capsys):
    with service({"incidents": []}) as peer:
        monkeypatch.setenv("AIOPS_URL", peer.url + "/")
        run("list")
    assert len(peer.requests) == 1


@pytest.mark.parametrize(
    ("status", "error"), [(404, NotFoundError), (409, ConflictError), (503, RefusedError)]
)
def test_a_refusal_is_an_error_of_its_kind_with_the_services_words(status, error):
    with (
        service({"error": "no incident i-7"}, status=status) as peer,
        pytest.raises(error, match=rf"^no incident i-7 \(HTTP {status}\)$"),
    ):
        run("show", "i-7", "--url", peer.url)


@pytest.mark.parametrize("answer", [b"<html>", b"[]", {"incident_id": 4}])
def test_an_answer_of_something_else_is_refused_with_a_remedy(answer):
    with service(answer) as peer, pytest.raises(RefusedError, match=r"aiops|same version"):
        run("show", "i-7", "--url", peer.url)


def test_a_refusal_without_json_still_has_words():
    with service(b"<h1>gone</h1>", status=502) as peer, pytest.raises(RefusedError) as caught:
        run("list", "--url", peer.url)
    assert str(caught.value) == "the service refused (HTTP 502)"


def test_redirects_are_not_followed():
    with (
        service({}) as other,
        service({}, status=302, location=other.url + "/steal") as peer,
        pytest.raises(RefusedError, match="HTTP 302"),
    ):
        run("ack", "i-7", "--url", peer.url)
    assert other.requests == []


def test_nobody_at_the_address_is_unreachable():
    with service({}) as peer:
        url = peer.url
    with pytest.raises(UnreachableError, match="is `aiops serve` running"):
        run("list", "--url", url)


def test_loopback_is_reached_without_the_proxy(monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with service({"incidents": []}) as peer:
        assert ApiClient(peer.url).get("/x") == {"incidents": []}


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://h",
        "127.0.0.1:9800",
        "http://",
        "http://h:x",
        "http://[",
        "http://h:0",
    ],
)
def test_only_http_addresses_are_taken(url):
    with pytest.raises(ConfigError, match="give http://HOST:PORT"):
        ApiClient(url)


def test_control_characters_and_markup_of_titles_do_not_reach_the_terminal(capsys):
    with service({"incidents": [make_incident("\x1b[31m[bold]red\n\u202eevil")]}) as peer:
        run("list", "--url", peer.url)
    out = capsys.readouterr().out
    assert r"\x1b[31m[bold]red\n\u202eevil" in out
    assert "\x1b" not in out
