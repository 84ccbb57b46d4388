"""The sample configurations for the neighbours say what the neighbours understand."""

import re
import shutil
import subprocess
from pathlib import Path

import yaml

from tests.metrics_page import page
from tests.programs import program

ROOT = Path(__file__).parents[2]
RULES = ROOT / "config/prometheus/aiops-rules.yml"


def test_prometheus_accepts_the_rules():
    command = [program("promtool"), "check", "rules", str(RULES)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_prometheus_accepts_the_remote_write_section(tmp_path):
    shutil.copy(RULES, tmp_path)
    shutil.copy(ROOT / "config/prometheus/remote-write.yml", tmp_path / "prometheus.yml")
    command = [program("promtool"), "check", "config", str(tmp_path / "prometheus.yml")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_alertmanager_accepts_the_webhook_section(tmp_path):
    sample = yaml.safe_load((ROOT / "config/alertmanager/webhook.yml").read_text())
    sample["route"]["receiver"] = "on-call"
    sample["receivers"].append({"name": "on-call"})
    path = tmp_path / "alertmanager.yml"
    path.write_text(yaml.safe_dump(sample))
    command = [program("amtool"), "check-config", str(path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_rules_ask_only_for_metrics_that_exist():
    known = set(re.findall(r"`(aiops_\w+)`", page()))
    asked = set(re.findall(r"\baiops_\w+", " ".join(_expressions())))
    assert asked
    assert {name.removesuffix("_bucket") for name in asked} <= known


def test_grafana_data_source_is_of_the_builtin_kind():
    path = ROOT / "config/grafana/provisioning/datasources/aiops.yaml"
    (source,) = yaml.safe_load(path.read_text())["datasources"]
    assert source["type"] == "prometheus"
    assert source["jsonData"]["httpMethod"] == "POST"


def _expressions() -> list[str]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule["expr"] for group in groups for rule in group["rules"]]
