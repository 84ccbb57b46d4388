"""What does each kernel cost a row? One JSON line a kernel, CPU time of this process.

`python -m benchmarks.bench_kernels [--slots N] [--keys N ...] [--only NAME] [--history]`. A kernel
joins `SLOT_CASES` (or `KEY_CASES`, measured at each rung of a ladder) with one function that sets
its data up. Before it is timed, its result on a few rows must agree with its plain twin.
`--only "against River"` measures our detector and River's over one stream, and how they compare.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from aiops.detect.kernels.tails import k_tail_learn, k_tail_score
from aiops.evaluate.kernels.baselines import k_ewma_score, k_holt_winters_score, k_spot_score
from aiops.series.kernels.histograms import k_histograms_take
from aiops.series.kernels.intake import k_intake_features, k_intake_prepare
from aiops.series.kernels.quality import k_quality_note
from aiops.series.kernels.ratios import k_ratios_add
from aiops.series.kernels.u64_map import k_u64_map_drop, k_u64_map_get, k_u64_map_put
from aiops.store.kernels.head import k_head_append, k_head_take, k_head_unpack
from aiops.wire.kernels.hashing import k_block_hash
from aiops.wire.kernels.label_check import k_label_blocks_check
from aiops.wire.kernels.remote_write import k_remote_write_walk
from benchmarks import kernel_cases_absence as absence
from benchmarks import kernel_cases_detect as detect
from benchmarks import kernel_cases_evaluate as evaluate
from benchmarks import kernel_cases_forecast as forecast
from benchmarks import kernel_cases_group as group
from benchmarks import kernel_cases_histograms as histograms
from benchmarks import kernel_cases_ratios as ratios
from benchmarks import kernel_cases_rules as rules
from benchmarks import kernel_cases_series as series
from benchmarks import kernel_cases_store as store
from benchmarks import kernel_cases_wire as wire
from benchmarks import river_rivals as river
from benchmarks.harness import BenchmarkError, describe_machine
from benchmarks.kernel_cases import SEED, Case
from benchmarks.report import Sheet, print_json, show_sheet
from benchmarks.timing import REPEATS, time_calls

Setup = Callable[[int], Case]
Record = dict[str, object]

SLOT_CASES: tuple[tuple[str, Setup], ...] = (
    ("k_block_hash", partial(wire.block_hash, k_block_hash)),
    ("k_label_blocks_check", partial(wire.label_blocks_check, k_label_blocks_check)),
    ("k_remote_write_walk", partial(wire.remote_write_walk, k_remote_write_walk)),
    ("k_intake_prepare", partial(series.intake_prepare, k_intake_prepare)),
    ("k_quality_note", partial(series.quality_note, k_quality_note)),
    ("k_histograms_take", partial(histograms.histograms_take, k_histograms_take)),
    ("k_ratios_add", partial(ratios.ratios_add, k_ratios_add)),
    ("k_intake_features", partial(series.intake_features, k_intake_features)),
    ("k_rules_prepare", rules.rules_prepare),
    ("k_rules_apply", rules.rules_apply),
    ("k_seasonal_score", detect.seasonal_score),
    ("k_seasonal_score, shuffled", detect.seasonal_score_shuffled),
    ("k_alert_score", detect.alert_score),
    ("k_episodes_step", detect.episodes_step),
    ("k_seasonal_score + k_episodes_step", detect.score_and_step),
    ("k_tail_score + k_tail_learn", partial(detect.tail_calls, k_tail_score, k_tail_learn)),
    ("k_absence_hear", absence.absence_hear),
    ("k_absence_count + k_absence_fall + k_absence_judge", absence.absence_look),
    ("k_group_judge", group.group_judge),
    ("k_peers_judge", group.peers_judge),
    ("k_forecast_learn", forecast.forecast_learn),
    ("k_forecast_learn, none watched", forecast.forecast_pass_by),
    ("k_ewma_score", partial(evaluate.ewma_score, k_ewma_score)),
    ("k_holt_winters_score", partial(evaluate.holt_winters_score, k_holt_winters_score)),
    ("k_spot_score", partial(evaluate.spot_score, k_spot_score)),
    ("k_head_append", partial(store.head_append, k_head_append)),
    ("k_head_take", partial(store.head_take, k_head_take)),
    ("k_head_unpack", partial(store.head_unpack, k_head_unpack)),
)
"""Cases that take a number of series."""

KEY_CASES: tuple[tuple[str, Setup], ...] = (
    ("k_u64_map_get", partial(series.u64_map_get, k_u64_map_get)),
    ("k_u64_map_put", partial(series.u64_map_put, k_u64_map_put)),
    ("k_u64_map_drop", partial(series.u64_map_drop, k_u64_map_drop)),
)
"""Cases that take a number of keys."""


def measure(name: str, setup: Setup, size: int, repeats: int = REPEATS) -> Record:
    """Return the record of one case.

    Raises
    ------
    BenchmarkError
        When the kernel's result is wrong, so that its cost means nothing.
    """
    case = setup(size)
    if not case.is_right():
        raise BenchmarkError(f"{name}: the result is not that of its plain twin")
    cost = time_calls(case.call, case.n_rows, reset=case.reset, repeats=repeats)
    return {
        "benchmark": "kernels",
        "kernel": name,
        "size": size,
        "rows": case.n_rows,
        "seed": SEED,
        "repeats": repeats,
        **case.facts,
        **cost.figures("row"),
    }


def planned(options: argparse.Namespace) -> Iterator[tuple[str, Setup, int]]:
    """Yield the cases that were asked for, with the size of each."""
    for name, setup in SLOT_CASES:
        if options.only in name:
            yield name, setup, options.slots
    for size in options.keys:
        for name, setup in KEY_CASES:
            if options.only in name:
                yield name, setup, size
    for name, setup in river.CASES:
        if options.only in f"{name} against River":
            yield name, setup, 1


def sheet_of(records: Sequence[Record]) -> Sheet:
    """Return the table of all records."""
    return Sheet(
        title=f"kernels, median of {REPEATS} runs",
        header=("kernel", "size", "rows", "CPU ns a row", "spread", "wall ns a row"),
        rows=tuple(_cells(record) for record in records),
        caption="size is series, or keys of the map",
    )


def _cells(record: Record) -> tuple[str, ...]:
    spread = record["cpu_ns_per_row_range"]
    assert isinstance(spread, list)
    return (
        str(record["kernel"]),
        f"{record['size']:,}",
        f"{record['rows']:,}",
        f"{record['cpu_ns_per_row']:.1f}",
        " - ".join(f"{value:.1f}" for value in spread),
        f"{record['wall_ns_per_row']:.1f}",
    )


def parse_options(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, prog="bench_kernels.py")
    add = parser.add_argument
    add("--slots", type=int, default=200_000, help="series in the fleet")
    add("--keys", type=int, nargs="+", default=[1_000, 100_000, 1_000_000], help="keys of the maps")
    add("--only", default="", help="measure cases whose name contains this")
    add("--history", action="store_true", help="append the table to RESULTS.md")
    return parser.parse_args(arguments)


def main() -> int:
    """Measure the kernels and print their records."""
    options = parse_options(sys.argv[1:])
    machine, records = describe_machine(), []
    try:
        for name, setup, size in planned(options):
            records.append(measure(name, setup, size))
            print_json(records[-1] | machine)
        if compared := river.comparison(records):
            print_json(compared | machine)
    except BenchmarkError as error:
        print(f"failed: {error}", file=sys.stderr)
        return 1
    show_sheet(machine, sheet_of(records), history=options.history)
    return 0


if __name__ == "__main__":
    sys.exit(main())
