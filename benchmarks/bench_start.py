"""How long is it from starting the process until it is ready, and where does the time go?

Cold means that no kernel is compiled yet, warm that their machine code is on disk. See README.md
for what counts and what does not.
"""

import argparse
import contextlib
import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from aiops.evaluate.remote_write_encode import REMOTE_WRITE_HEADERS
from benchmarks import harness, report
from benchmarks.harness import BenchmarkError, Server, median, spread
from benchmarks.ingest_servers import ServerFactory, known_servers
from benchmarks.ingest_workload import STEP_MS, Workload
from benchmarks.start_imports import largest, own_ms_by_package, parse_imports, phases_s

POLL_S = 0.01
TARGETS_S = {"cold": 45.0, "warm": 3.0}
"""Chosen: a supervisor's usual patience at the first start; a restart that senders do not notice,
since they repeat what was not taken."""

SCRAPES_BEFORE = 10
"""Scrapes in the snapshot; rows beyond those sealed are in it as well."""
PACKAGES_SHOWN = 12

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Start:
    """One start until ready: wall time, CPU and memory of the process at that moment."""

    ready_s: float
    cpu_s: float
    rss_bytes: int
    n_series: int


class Lab:
    """Starts the service over and over with one kernel cache.

    Parameters
    ----------
    folder
        Holds the cache and a folder a start.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._n_starts = 0
        self._cache = folder / "kernels"
        self.environment = {"NUMBA_CACHE_DIR": str(self._cache)}

    def start(self, workload: Workload, data: Path | None = None) -> Start:
        """Start once, on a copy of `data` or on nothing, and measure."""
        folder = self._fresh_folder(data)
        started_s = time.perf_counter()
        with self.running(self.server(folder, workload), folder) as pid:
            ready_s = time.perf_counter() - started_s
            n_series = series_when_ready((folder / "server.log").read_text())
            facts = Start(ready_s, harness.cpu_s(pid), harness.rss_bytes(pid), n_series)
            os.kill(pid, signal.SIGKILL)  # a snapshot at the end would only take time
        return facts

    def import_times(self, workload: Workload) -> str:
        """Start once with the interpreter's own report, and return it."""
        folder = self._fresh_folder(None)
        server = self.server(folder, workload)
        reported = replace(server, argv=(server.argv[0], "-X", "importtime", *server.argv[1:]))
        with self.running(reported, folder):
            return (folder / "server.log").read_text(errors="replace")

    def running(self, server: Server, folder: Path) -> contextlib.AbstractContextManager[int]:
        """Start a server with this lab's kernel cache."""
        return harness.running(server, folder, environment=self.environment, poll_s=POLL_S)

    def server(self, folder: Path, workload: Workload) -> Server:
        """Return how to start the service with its data in `folder/data`."""
        factory = known_servers(journal_sync="full")["aiops"]
        assert not isinstance(factory, str)
        service: ServerFactory = factory
        return service(folder, workload)

    def forget_kernels(self) -> None:
        """Make the next start a cold one."""
        shutil.rmtree(self._cache, ignore_errors=True)

    def _fresh_folder(self, data: Path | None) -> Path:
        self._n_starts += 1
        folder = self._folder / f"start-{self._n_starts}"
        folder.mkdir()
        if data is not None:
            shutil.copytree(data, folder / "data")
        return folder


def series_when_ready(log: str) -> int:
    """Return the series that a service said it had when it was ready.

    Raises
    ------
    BenchmarkError
        When its log does not say so.
    """
    found = re.search(r'service\.ready.*"series": ?(\d+)', log)
    if found is None:
        raise BenchmarkError("the service was ready and did not log it")
    return int(found[1])


def prepare(lab: Lab, folder: Path, workload: Workload, tail_scrapes: int) -> Record:
    """Fill a data folder: a snapshot, and behind it a tail of the journal; return their sizes."""
    folder.mkdir()
    server = lab.server(folder, workload)
    rounds = workload.rounds()
    with lab.running(server, folder):  # ended by SIGTERM, which saves a snapshot
        n_before = _push(server, [next(rounds) for _ in range(SCRAPES_BEFORE)])
    with lab.running(server, folder) as pid:
        n_tail = _push(server, [next(rounds) for _ in range(tail_scrapes)])
        harness.settle(pid)
        os.kill(pid, signal.SIGKILL)  # saves none
    data = folder / "data"
    snapshots = [path.stat().st_size for path in data.glob("snapshot-*.safetensors")]
    if not snapshots:
        raise BenchmarkError("no snapshot was saved")
    return {
        "restored_series": workload.n_series,
        "snapshot_mib": round(max(snapshots) / 2**20, 1),
        "tail_records": n_tail,
        "tail_samples": tail_scrapes * workload.n_series,
        "snapshot_records": n_before,
    }


def _push(server: Server, rounds: Sequence[list[bytes]]) -> int:
    timings = harness.Timings()
    with contextlib.closing(harness.Sender(server, REMOTE_WRITE_HEADERS)) as sender:
        for bodies in rounds:
            sender.send_all(bodies, timings)
    return sum(map(len, rounds))


def check_starts(starts: Sequence[Start], n_series: int) -> None:
    """Compare the series of each start with what its data holds.

    Raises
    ------
    BenchmarkError
        When a start came up with other series.
    """
    for start in starts:
        if start.n_series != n_series:
            raise BenchmarkError(f"ready with {start.n_series} series, {n_series} were saved")


def run(options: argparse.Namespace) -> None:
    """Measure every kind of start and show the record."""
    end_ms = time.time_ns() // 1_000_000 // STEP_MS * STEP_MS
    n_rounds = SCRAPES_BEFORE + options.tail_scrapes
    workload = Workload(options.series, 5_000, n_rounds, end_ms, options.seed)
    with harness.temporary_folder() as folder:
        lab = Lab(folder)
        cold = []
        for _ in range(options.cold):
            lab.forget_kernels()
            cold.append(lab.start(workload))
        warm = [lab.start(workload) for _ in range(options.repeat + 1)][1:]
        check_starts([*cold, *warm], 0)
        sizes = prepare(lab, folder / "saved", workload, options.tail_scrapes)
        saved = folder / "saved" / "data"
        restored = [lab.start(workload, saved) for _ in range(options.repeat)]
        check_starts(restored, workload.n_series)
        phases = [phases_s(lab.environment) for _ in range(options.repeat)]
        imports = own_ms_by_package(parse_imports(lab.import_times(workload)))
    result: Record = {
        "benchmark": "start",
        **harness.describe_machine(),
        "seed": options.seed,
        "targets_s": TARGETS_S,
        **sizes,
        "starts": {
            name: summarise(starts)
            for name, starts in (("cold", cold), ("warm", warm), ("restored", restored))
        },
        "phases_s": {name: median([each[name] for each in phases]) for name in phases[0]},
        "import_ms": round(sum(imports.values()), 1),
        "import_ms_by_package": largest(imports, PACKAGES_SHOWN),
    }
    report.show(result, sheet_of(result), history=options.history)


def summarise(starts: Sequence[Start]) -> Record:
    """Return the medians and the spread of starts of one kind."""
    ready = [start.ready_s for start in starts]
    return {
        "n": len(starts),
        "ready_s": round(median(ready), 3),
        "ready_s_range": [round(value, 3) for value in spread(ready)],
        "cpu_s": round(median([start.cpu_s for start in starts]), 2),
        "rss_mib": round(median([start.rss_bytes for start in starts]) / 2**20, 1),
    }


def sheet_of(result: Record) -> report.Sheet:
    """Return the table of a record."""
    titles = {
        "cold": "no kernel compiled, no data",
        "warm": "kernels on disk, no data",
        "restored": f"kernels on disk, {result['restored_series']:,} series, journal tail",
    }
    rows = [
        (
            titles[name],
            f"{each['ready_s']:.2f}",
            " - ".join(f"{value:.2f}" for value in each["ready_s_range"]),
            f"{each['cpu_s']:.2f}",
            f"{each['rss_mib']:.0f}",
        )
        for name, each in result["starts"].items()
    ]
    shares = {f"imports, {name}": s for name, s in result["phases_s"].items()}
    rest_s = result["starts"]["warm"]["ready_s"] - sum(shares.values())
    shares["interpreter, files, sockets"] = rest_s
    packages = result["import_ms_by_package"].items()
    shares |= {f"modules of {name}": ms / 1000 for name, ms in packages}
    rows += [(f"warm: {name}", f"{s:.2f}", "", "", "") for name, s in shares.items()]
    return report.Sheet(
        "start: seconds from process start to /-/ready",
        ("start", "median s", "spread", "CPU s", "memory MiB"),
        tuple(rows),
        f"snapshot {result['snapshot_mib']} MiB, tail {result['tail_records']} records with "
        f"{result['tail_samples']:,} samples; targets: cold {TARGETS_S['cold']:.0f} s, "
        f"warm {TARGETS_S['warm']:.0f} s; modules from one start with -X importtime",
    )


def parse_options(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, prog="bench_start.py")
    add = parser.add_argument
    add("--cold", type=int, default=1, help="cold starts (10-30 s each)")
    add("--repeat", type=int, default=5, help="warm starts of each kind")
    add("--series", type=int, default=20_000, help="series in the snapshot")
    add("--tail-scrapes", type=int, default=20, help="scrapes behind the snapshot")
    add("--seed", type=int, default=1)
    add("--history", action="store_true", help="append the table to RESULTS.md")
    return parser.parse_args(arguments)


def main() -> int:
    """Run the benchmark from the command line."""
    options = parse_options(sys.argv[1:])
    with harness.ended_by_signals():
        try:
            run(options)
        except BenchmarkError as error:
            print(f"failed: {error}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("stopped; services ended, folders removed", file=sys.stderr)
            return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
