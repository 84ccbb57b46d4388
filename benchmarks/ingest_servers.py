"""The servers of the ingest benchmark and how each is started: this service and its rivals."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import yaml

from aiops import __version__
from aiops.config import Config
from benchmarks.harness import Server, free_port
from benchmarks.ingest_workload import Workload

ServerFactory = Callable[[Path, Workload], Server]
VICTORIA_METRICS = "/usr/bin/victoria-metrics"
PROMETHEUS = "/usr/bin/prometheus"


def known_servers(*, journal_sync: str) -> dict[str, ServerFactory | str]:
    """Return each server's factory, or the reason why it cannot take part."""
    return {
        "aiops": lambda folder, workload: _aiops(folder, workload, journal_sync),
        "victoria-metrics": _if_installed(VICTORIA_METRICS, _victoria_metrics),
        "prometheus": _if_installed(PROMETHEUS, _prometheus),
    }


def _if_installed(path: str, factory: ServerFactory) -> ServerFactory | str:
    return factory if shutil.which(path) else f"{path} is not installed"


def _aiops(folder: Path, workload: Workload, journal_sync: str) -> Server:
    port = free_port()
    defaults = Config()
    raised = {
        "series_max": max(defaults.limits.series_max, 2 * workload.n_series),
        "new_series_per_s": max(defaults.limits.new_series_per_s, workload.n_series),
        "new_series_burst": max(defaults.limits.new_series_burst, workload.n_series),
    }
    config = {
        "data_dir": str(folder / "data"),
        "server": {"listen": f"127.0.0.1:{port}"},
        "limits": raised,
        "journal": {"sync": journal_sync},
    }
    path = folder / "aiops.yaml"
    path.write_text(yaml.safe_dump(config))
    return Server(
        name="aiops",
        version=__version__,
        argv=(sys.executable, "-m", "aiops.cli.main", "serve", "--config", str(path)),
        port=port,
        ready_path="/-/ready",
        settings=f"journal.sync {journal_sync}, limits for new series raised to the workload",
    )


def _victoria_metrics(folder: Path, _workload: Workload) -> Server:
    port = free_port()
    return Server(
        name="victoria-metrics",
        version=_debian_version("victoria-metrics"),
        argv=(
            VICTORIA_METRICS,
            f"-httpListenAddr=127.0.0.1:{port}",
            f"-storageDataPath={folder / 'data'}",
            "-retentionPeriod=1",
            "-search.latencyOffset=1ms",  # else the last 30 s are missing from our check
            "-loggerLevel=ERROR",
        ),
        port=port,
        ready_path="/health",
        query_extra=(("nocache", "1"),),
        settings="defaults, retention 1 month, newest samples not withheld from queries",
    )


def _prometheus(folder: Path, _workload: Workload) -> Server:
    port = free_port()
    config = folder / "prometheus.yml"
    config.write_text("global:\n  scrape_interval: 1h\n")
    return Server(
        name="prometheus",
        version=_debian_version("prometheus"),
        argv=(
            PROMETHEUS,
            f"--config.file={config}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--web.enable-remote-write-receiver",
            f"--storage.tsdb.path={folder / 'data'}",
            "--log.level=error",
        ),
        port=port,
        ready_path="/-/ready",
        settings="defaults, remote-write receiver on",
    )


def _debian_version(package: str) -> str:
    query = ("dpkg-query", "--show", "--showformat=${Version}", package)
    found = subprocess.run(query, check=False, capture_output=True, text=True)
    return found.stdout.strip() or "unknown"
