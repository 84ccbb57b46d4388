"""The `aiops incident` commands against a running service."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
from e2e_programs import free_port, programs
from e2e_service import AIOPS, ENVIRONMENT, Service


@contextmanager
def service_with_incident(folder: Path) -> Iterator[tuple[Service, str]]:
    """Yield a service that was told of one alert, and the id of the incident it opened."""
    config = folder / "aiops.yaml"
    config.write_text("correlate: {quiet_s: 600}\n")
    with programs(folder) as running:
        service = Service(running, config)
        service.start()
        labels = {"alertname": "DiskFull", "service": "db", "severity": "critical"}
        alert = {"status": "firing", "labels": labels, "startsAt": "2026-01-01T00:00:00Z"}
        body = orjson.dumps({"version": "4", "alerts": [alert]})
        headers = {"Content-Type": "application/json"}
        assert service.request("POST", "/api/v1/alertmanager", body, headers)[0] == 200
        [incident] = service.wait_incidents()
        yield service, incident["incident_id"]


def exit_code(*arguments: str) -> int:
    command = [*AIOPS, "incident", *arguments]
    return subprocess.run(
        command, env=ENVIRONMENT, capture_output=True, timeout=30.0, check=False
    ).returncode


def test_incidents_are_listed_shown_acknowledged_and_resolved(tmp_path: Path) -> None:
    with service_with_incident(tmp_path) as (service, incident_id):
        table = service.cli("list")
        assert incident_id in table
        assert "db" in table
        [listed] = orjson.loads(service.cli("list", "--state", "open", "--json"))["incidents"]
        assert listed["incident_id"] == incident_id
        assert "DiskFull" in service.cli("show", incident_id)

        service.cli("ack", incident_id, "--author", "ada", "--comment", "buying disks")
        shown = orjson.loads(service.cli("show", incident_id, "--json"))
        assert (shown["state"], shown["acknowledged_by"]) == ("acknowledged", "ada")
        assert "buying disks" in service.cli("show", incident_id)

        service.cli("resolve", incident_id, "--author", "ada")
        assert "no incidents in state open" in service.cli("list", "--state", "open")
        [resolved] = orjson.loads(service.cli("list", "--json"))["incidents"]
        assert resolved["state"] == "resolved"
        assert exit_code("ack", incident_id, "--url", service.url) == 1


def test_the_commands_tell_what_is_missing_by_exit_code(tmp_path: Path) -> None:
    with service_with_incident(tmp_path) as (service, _):
        assert exit_code("show", "inc-9-9", "--url", service.url) == 1
    assert exit_code("list", "--url", f"http://127.0.0.1:{free_port()}") == 3
