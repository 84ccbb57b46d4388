"""Debian's Prometheus, node exporter and Alertmanager, wired up to the service and back."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2e_hook import Hook
from e2e_programs import Programs, free_port, is_ready, output_of, wait_until
from e2e_service import Service

ALERTMANAGER = "prometheus-alertmanager"
NODE_EXPORTER = "prometheus-node-exporter"
PROGRAMS = ("prometheus", ALERTMANAGER, NODE_EXPORTER, "amtool", "promtool")

QUIET_S = 5
START_TIMEOUT_S = 20.0
RULE_ALERT = "CheckoutSlow"

# Everything Alertmanager has goes to the service, our own alerts too: it must know them.
_ALERTMANAGER_CONFIG = """
route: {{receiver: aiops, group_wait: 0s, group_interval: 1s, repeat_interval: 1h}}
receivers:
  - name: aiops
    webhook_configs: [{{url: "{aiops}/api/v1/alertmanager", send_resolved: true}}]
"""

_PROMETHEUS_CONFIG = """
global: {{scrape_interval: 1s, scrape_timeout: 900ms, evaluation_interval: 1s}}
rule_files: [rules.yml]
alerting: {{alertmanagers: [{{static_configs: [{{targets: ["{alertmanager}"]}}]}}]}}
remote_write:
  - url: "{aiops}/api/v1/write"
    queue_config: {{batch_send_deadline: 1s}}
scrape_configs:
  - {{job_name: prometheus, static_configs: [{{targets: ["{prometheus}"]}}]}}
  - {{job_name: node, static_configs: [{{targets: ["{node}"]}}]}}
  - {{job_name: aiops, static_configs: [{{targets: ["{own}"]}}]}}
  - {{job_name: shop, static_configs: [{{targets: ["{shop}"]}}]}}
"""

_RULES = """
groups:
  - name: shop
    rules:
      - alert: CheckoutSlow
        expr: shop_latency_seconds{service="checkout"} > 0.5
        for: 5s
        labels: {severity: warning}
        annotations: {summary: checkout is slow}
"""

_AIOPS_CONFIG = """
correlate: {{quiet_s: {quiet_s}}}
notify:
  receivers:
    - {{name: alertmanager, kind: alertmanager, url: "{alertmanager}", resend_interval_s: 5}}
    - name: hook
      kind: webhook
      url: "{hook}/incidents"
      secret: {{file: hook.secret}}
      match: '{{service="checkout"}}'
remediate: {{mode: dry-run, playbooks: [restart.yaml], url_allow: ["{hook_address}"]}}
"""

_PLAYBOOK = """
name: restart
description: Restart a slow service
match: '{{service="checkout"}}'
events: [opened]
mode: auto
cool_down_s: 60
action:
  http: {{method: POST, url: "{hook}/restart/{{label:service}}", body: {{why: "{{title}}"}}}}
"""


@dataclass(frozen=True, slots=True)
class Stack:
    """All running programs, and the ways to ask them."""

    aiops: Service
    alertmanager_url: str

    def alerts(self, *matchers: str) -> list[dict[str, Any]]:
        """Return what `amtool` shows as firing."""
        url = f"--alertmanager.url={self.alertmanager_url}"
        command = ["amtool", "alert", "query", url, "--output=json", *matchers]
        found: list[dict[str, Any]] = json.loads(output_of(command))
        return found

    def range_of(self, query: str, *, start_s: float, end_s: float) -> list[dict[str, Any]]:
        """Return the matrix `promtool query range` gets from the service, a point a second."""
        span = [f"--start={start_s:.0f}", f"--end={end_s:.0f}", "--step=1s"]
        command = ["promtool", "query", "range", "--format=json", *span, self.aiops.url, query]
        found: list[dict[str, Any]] = json.loads(output_of(command))
        return found

    def vector_of(self, query: str) -> list[dict[str, Any]]:
        """Return the vector `promtool query instant` gets from the service."""
        command = ["promtool", "query", "instant", "--format=json", self.aiops.url, query]
        found: list[dict[str, Any]] = json.loads(output_of(command))
        return found


def start_stack(programs: Programs, *, shop_url: str, hook: Hook, secret: bytes) -> Stack:
    """Start everything, what is sent to before its senders, and wait until all is ready."""
    alertmanager_port, node_port, prometheus_port = free_port(), free_port(), free_port()
    alertmanager = f"127.0.0.1:{alertmanager_port}"
    (programs.folder / "hook.secret").write_bytes(secret)
    (programs.folder / "restart.yaml").write_text(_PLAYBOOK.format(hook=hook.url))
    config = programs.folder / "aiops.yaml"
    config.write_text(
        _AIOPS_CONFIG.format(
            quiet_s=QUIET_S,
            alertmanager=f"http://{alertmanager}",
            hook=hook.url,
            hook_address=hook.url.removeprefix("http://"),
        )
    )
    service = Service(programs, config)
    service.start()
    _start_alertmanager(programs, alertmanager, service)
    programs.start(NODE_EXPORTER, NODE_EXPORTER, f"--web.listen-address=127.0.0.1:{node_port}")
    targets = {
        "alertmanager": alertmanager,
        "aiops": service.url,
        "prometheus": f"127.0.0.1:{prometheus_port}",
        "node": f"127.0.0.1:{node_port}",
        "own": f"127.0.0.1:{service.port}",
        "shop": shop_url.removeprefix("http://"),
    }
    _start_prometheus(programs, targets)
    return Stack(service, f"http://{alertmanager}")


def _start_alertmanager(programs: Programs, address: str, service: Service) -> None:
    config = programs.folder / "alertmanager.yml"
    config.write_text(_ALERTMANAGER_CONFIG.format(aiops=service.url))
    programs.start(
        ALERTMANAGER,
        ALERTMANAGER,
        f"--config.file={config}",
        f"--storage.path={programs.folder / 'alertmanager'}",
        f"--web.listen-address={address}",
        "--cluster.listen-address=",
    )
    _wait_ready("Alertmanager", f"http://{address}")


def _start_prometheus(programs: Programs, targets: dict[str, str]) -> None:
    config: Path = programs.folder / "prometheus.yml"
    config.write_text(_PROMETHEUS_CONFIG.format(**targets))
    (programs.folder / "rules.yml").write_text(_RULES)
    programs.start(
        "prometheus",
        "prometheus",
        f"--config.file={config}",
        f"--storage.tsdb.path={programs.folder / 'prometheus'}",
        f"--web.listen-address={targets['prometheus']}",
    )
    _wait_ready("Prometheus", f"http://{targets['prometheus']}")


def _wait_ready(name: str, url: str) -> None:
    wait_until(lambda: is_ready(f"{url}/-/ready"), START_TIMEOUT_S, f"{name} is ready")
