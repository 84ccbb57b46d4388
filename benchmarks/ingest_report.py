"""From measurements of the ingest benchmark to a table, a JSON line and a history entry."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from benchmarks import report
from benchmarks.harness import median, spread
from benchmarks.report import Sheet

if TYPE_CHECKING:
    from benchmarks.bench_ingest import Measurement

_FIGURES: dict[str, Callable[["Measurement"], float]] = {
    "new_cpu_us_per_series": lambda m: 1e6 * m.new.cpu_s / m.new.n_samples,
    "warm_cpu_ns_per_sample": lambda m: 1e9 * m.warm.cpu_s / m.warm.n_samples,
    "warm_samples_per_cpu_s": lambda m: m.warm.n_samples / max(m.warm.cpu_s, 1e-9),
    "warm_samples_per_wall_s": lambda m: m.warm.n_samples / m.warm.wall_s,
    "new_latency_ms_p50": lambda m: m.new.latency_ms_p50,
    "new_latency_ms_p99": lambda m: m.new.latency_ms_p99,
    "warm_latency_ms_p50": lambda m: m.warm.latency_ms_p50,
    "warm_latency_ms_p99": lambda m: m.warm.latency_ms_p99,
    "rss_mib_empty": lambda m: m.rss_bytes_empty / 2**20,
    "rss_mib_end": lambda m: m.rss_bytes_end / 2**20,
    "rss_bytes_per_series": lambda m: (m.rss_bytes_end - m.rss_bytes_empty) / m.n_series,
    "disk_mib": lambda m: m.disk_bytes / 2**20,
    "retries": lambda m: m.new.n_retries + m.warm.n_retries,
}
_ROWS = (
    ("CPU us a new series", "new_cpu_us_per_series", ".1f"),
    ("CPU ns a warm sample", "warm_cpu_ns_per_sample", ",.0f"),
    ("warm samples a CPU second", "warm_samples_per_cpu_s", ",.0f"),
    ("warm samples a second of pushing", "warm_samples_per_wall_s", ",.0f"),
    ("request ms, new series, p50", "new_latency_ms_p50", ".1f"),
    ("request ms, new series, p99", "new_latency_ms_p99", ".1f"),
    ("request ms, warm, p50", "warm_latency_ms_p50", ".1f"),
    ("request ms, warm, p99", "warm_latency_ms_p99", ".1f"),
    ("memory MiB, empty", "rss_mib_empty", ",.0f"),
    ("memory MiB, at the end", "rss_mib_end", ",.0f"),
    ("memory bytes a series", "rss_bytes_per_series", ",.0f"),
    ("disk MiB at the end", "disk_mib", ",.0f"),
    ("answers 'come again'", "retries", ".0f"),
)


def summarise(runs: Sequence["Measurement"]) -> dict[str, Any]:
    """Return the medians and spreads of one server's runs."""
    columns = {name: [figure(run) for run in runs] for name, figure in _FIGURES.items()}
    last = runs[-1]
    return {
        "version": last.version,
        "settings": last.settings,
        "n_runs": len(runs),
        "is_settled": all(run.new.is_settled and run.warm.is_settled for run in runs),
        "n_checked_values": last.n_checked_values,
        "body_digest": last.body_digest,
        "median": {name: round(median(values), 3) for name, values in columns.items()},
        "spread": {name: [round(v, 3) for v in spread(values)] for name, values in columns.items()},
        "own_counters": last.own_counters,
    }


def show(result: dict[str, Any], *, history: bool) -> None:
    """Print table and JSON line; append the table to RESULTS.md if asked."""
    sheet = Sheet(
        _title(result),
        (f"median of {result['repeat']}", *result["servers"]),
        tuple(tuple(line) for line in _lines(result)),
        _caption(result),
    )
    report.show(result, sheet, history=history)


def _title(result: dict[str, Any]) -> str:
    work = result["workload"]
    return (
        f"ingest: {work['n_series']:,} series, {work['label_bytes_mean']:.0f} label bytes, "
        f"{work['n_rounds']} scrapes, {work['per_request']:,} a request"
    )


def _caption(result: dict[str, Any]) -> str:
    parts = [f"{name} {each['version']} ({each['settings']})" for name, each in _servers(result)]
    unsettled = [name for name, each in _servers(result) if not each["is_settled"]]
    if unsettled:
        parts.append(f"NOT SETTLED, background work is missing: {', '.join(unsettled)}")
    parts += [f"left out: {name} ({reason})" for name, reason in result["left_out"].items()]
    return "; ".join(parts)


def _lines(result: dict[str, Any]) -> list[list[str]]:
    medians = {name: each["median"] for name, each in _servers(result)}
    lines = [
        [title, *(format(figures[key], spec) for figures in medians.values())]
        for title, key, spec in _ROWS
    ]
    if "aiops" in medians:
        lines += [
            [f"aiops / rival: {key}", *(_ratio(medians["aiops"], each, key) for each in others)]
            for key in ("new_cpu_us_per_series", "warm_cpu_ns_per_sample", "rss_mib_end")
            for others in [list(medians.values())]
        ]
    return lines


def _ratio(ours: dict[str, float], theirs: dict[str, float], key: str) -> str:
    return f"{ours[key] / theirs[key]:.2f}" if theirs[key] else "-"


def _servers(result: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return list(result["servers"].items())
