"""How much CPU and memory does it take to ingest (and, for us, to score) remote write?

The same request bodies go over one keep-alive loopback connection to this service and to rivals
that only store. See README.md for what counts and what does not.
"""

import argparse
import contextlib
import hashlib
import json
import re
import sys
import time
import urllib.parse
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from aiops.domain.labels import format_series
from aiops.domain.samples import F64
from aiops.evaluate.remote_write_encode import REMOTE_WRITE_HEADERS
from benchmarks import harness, ingest_report
from benchmarks.ingest_servers import ServerFactory, known_servers
from benchmarks.ingest_workload import STEP_MS, Workload


@dataclass(frozen=True, slots=True)
class Phase:
    """What one phase cost: CPU of the server until its background work was done."""

    n_samples: int
    cpu_s: float
    wall_s: float
    latency_ms_p50: float
    latency_ms_p99: float
    n_retries: int
    is_settled: bool


@dataclass(frozen=True, slots=True)
class Measurement:
    """One run of one server. `new` is the first scrape, `warm` are all later ones."""

    server: str
    version: str
    settings: str
    n_series: int
    new: Phase
    warm: Phase
    rss_bytes_empty: int
    rss_bytes_end: int
    disk_bytes: int
    n_checked_values: int
    body_digest: str
    own_counters: dict[str, float]


def measure(factory: ServerFactory, workload: Workload, settle_every: int) -> Measurement:
    """Run one server on the workload in a fresh folder.

    Raises
    ------
    BenchmarkError
        When it failed, refused a body, or does not give back what was pushed.
    """
    with harness.temporary_folder() as folder:
        server = factory(folder, workload)
        with harness.running(server, folder) as pid:
            harness.settle(pid)
            rss_empty = harness.rss_bytes(pid)
            sent = hashlib.sha256()
            with contextlib.closing(harness.Sender(server, REMOTE_WRITE_HEADERS)) as sender:
                rounds = _digested(workload.rounds(), sent)
                new = _push(pid, sender, [next(rounds)], workload, settle_every=1)
                warm = _push(pid, sender, rounds, workload, settle_every=settle_every)
            rss_end = harness.rss_bytes(pid)
            n_checked = check_answers(server, workload)
            return Measurement(
                server=server.name,
                version=server.version,
                settings=server.settings,
                n_series=workload.n_series,
                new=new,
                warm=warm,
                rss_bytes_empty=rss_empty,
                rss_bytes_end=rss_end,
                disk_bytes=_disk_bytes(folder),
                n_checked_values=n_checked,
                body_digest=sent.hexdigest()[:16],
                own_counters=_own_counters(server),
            )


def _digested(rounds: Iterator[list[bytes]], sent: "hashlib._Hash") -> Iterator[list[bytes]]:
    for bodies in rounds:
        harness.digest(bodies, sent)
        yield bodies


def _push(
    pid: int,
    sender: harness.Sender,
    rounds: Iterator[list[bytes]] | list[list[bytes]],
    workload: Workload,
    *,
    settle_every: int,
) -> Phase:
    timings = harness.Timings()
    before_s, wall_s, n_rounds, is_settled = harness.cpu_s(pid), 0.0, 0, True
    for bodies in rounds:
        started_s = time.perf_counter()
        sender.send_all(bodies, timings)
        wall_s += time.perf_counter() - started_s
        n_rounds += 1
        if n_rounds % settle_every == 0:
            is_settled = harness.settle(pid)
    is_settled = harness.settle(pid) if n_rounds % settle_every else is_settled
    return Phase(
        n_samples=n_rounds * workload.n_series,
        cpu_s=harness.cpu_s(pid) - before_s,
        wall_s=wall_s,
        latency_ms_p50=timings.percentile_ms(0.5),
        latency_ms_p99=timings.percentile_ms(0.99),
        n_retries=timings.n_retries,
        is_settled=is_settled,
    )


def check_answers(server: harness.Server, workload: Workload) -> int:
    """Return how many samples read back from a server equal what was pushed.

    Raises
    ------
    BenchmarkError
        At the first series with another number of samples or another value.
    """
    expected = _expected(workload)
    for i, values in expected.items():
        found = _query(server, workload, format_series(workload.labels(i)))
        # Victoria Metrics keeps decimals, the last bit may differ.
        if len(found) != len(values) or not np.allclose(found, values, rtol=1e-12, atol=0.0):
            raise harness.BenchmarkError(
                f"{server.name} gave back {found[-5:].tolist()} ({len(found)} samples) for "
                f"series {i}, pushed were {values[-5:].tolist()} ({len(values)})"
            )
    return sum(len(values) for values in expected.values())


def _expected(workload: Workload) -> dict[int, F64]:
    columns = np.array([values[workload.checked()] for values in workload.values()])
    return {i: columns[:, k] for k, i in enumerate(workload.checked())}


def _query(server: harness.Server, workload: Workload, selector: str) -> F64:
    parameters = {
        "query": selector,
        "start": f"{workload.start_ms / 1000:.3f}",
        "end": f"{workload.end_ms / 1000:.3f}",
        "step": str(STEP_MS // 1000),
        **dict(server.query_extra),
    }
    path = f"{server.query_path}?{urllib.parse.urlencode(parameters)}"
    status, body = harness.get(server.port, path)
    if status != 200:
        raise harness.BenchmarkError(f"{server.name} answered {status} to {path}: {body[:300]!r}")
    result = json.loads(body)["data"]["result"]
    return np.array([float(value) for series in result for _, value in series["values"]])


def _disk_bytes(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):  # merges remove files while we look
            total += path.stat().st_blocks * 512 if path.is_file() else 0
    return total


def _own_counters(server: harness.Server) -> dict[str, float]:
    if server.name != "aiops":
        return {}
    _, body = harness.get(server.port, "/metrics")
    lines = re.findall(r"^(aiops_\w+(?:\{[^}]*\})?) (\S+)$", body.decode(), re.MULTILINE)
    skipped = re.compile(r"_bucket|_created")
    return {
        name: float(value) for name, value in lines if float(value) and not skipped.search(name)
    }


def run(options: argparse.Namespace) -> int:
    """Run what was asked for; return the exit code."""
    machine = harness.describe_machine()
    factories, skipped = _choose(options)
    for name, reason in skipped.items():
        print(f"left out: {name}: {reason}", file=sys.stderr)
    for n_series in options.series:
        workload = _workload(options, n_series)
        runs: dict[str, list[Measurement]] = {name: [] for name in factories}
        for turn in range(options.repeat):
            for name, factory in factories.items():
                print(f"{name}: {n_series} series, run {turn + 1}", file=sys.stderr)
                runs[name].append(measure(factory, workload, options.settle_every))
        _check_same_bodies(runs)
        result = {
            "benchmark": "ingest",
            **machine,
            "workload": asdict(workload) | {"label_bytes_mean": _label_bytes_mean(workload)},
            "settle_every": options.settle_every,
            "repeat": options.repeat,
            "left_out": skipped,
            "servers": {name: ingest_report.summarise(each) for name, each in runs.items()},
        }
        ingest_report.show(result, history=options.history)
    return 0


def _choose(options: argparse.Namespace) -> tuple[dict[str, ServerFactory], dict[str, str]]:
    known = known_servers(journal_sync=options.journal_sync)
    factories, skipped = {}, {}
    for name, factory in known.items():
        if isinstance(factory, str):
            skipped[name] = factory
        elif name in options.skip:
            skipped[name] = "by --skip"
        else:
            factories[name] = factory
    return factories, skipped


def _workload(options: argparse.Namespace, n_series: int) -> Workload:
    end_ms = time.time_ns() // 1_000_000 // STEP_MS * STEP_MS
    workload = Workload(
        n_series=n_series,
        per_request=options.per_request,
        n_rounds=options.rounds + 1,
        end_ms=end_ms,
        seed=options.seed,
        counter_share=options.counter_share,
    )
    return replace(workload, n_rounds=options.steady + 1) if options.steady else workload


def _label_bytes_mean(workload: Workload) -> float:
    sizes = [
        sum(len(name) + len(value) + 6 for name, value in workload.labels(i))
        for i in range(min(workload.n_series, 1000))
    ]
    return round(sum(sizes) / len(sizes), 1)


def _check_same_bodies(runs: dict[str, list[Measurement]]) -> None:
    digests = {each.body_digest for measurements in runs.values() for each in measurements}
    if len(digests) > 1:
        raise harness.BenchmarkError(f"BUG: servers got different bodies: {sorted(digests)}")


def parse_options(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, prog="bench_ingest.py")
    add = parser.add_argument
    add("--series", type=int, nargs="+", default=[200_000], help="series; several make a ladder")
    add("--per-request", type=int, default=5_000, help="series a request")
    add("--rounds", type=int, default=5, help="scrapes after the first")
    add("--steady", type=int, default=0, metavar="N", help="N scrapes after the first, so that "
        "full chunks are sealed; use with fewer series")  # fmt: skip
    add("--settle-every", type=int, default=0, help="scrapes between waits for background work "
        "(default 1, with --steady 10)")  # fmt: skip
    add("--counter-share", type=float, default=0.5, help="share of series that are counters")
    add("--repeat", type=int, default=1, help="runs of each server; medians are reported")
    add("--seed", type=int, default=1)
    add("--skip", nargs="+", default=[], help="servers to leave out")
    add("--journal-sync", choices=("full", "os"), default="full", help="our journal.sync")
    add("--history", action="store_true", help="append the result to RESULTS.md")
    options = parser.parse_args(arguments)
    options.settle_every = options.settle_every or (10 if options.steady else 1)
    return options


def main() -> int:
    """Run the benchmark from the command line."""
    options = parse_options(sys.argv[1:])
    with harness.ended_by_signals():
        try:
            return run(options)
        except harness.BenchmarkError as error:
            print(f"failed: {error}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("stopped; servers ended, folders removed", file=sys.stderr)
            return 130


if __name__ == "__main__":
    sys.exit(main())
