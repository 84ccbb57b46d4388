"""What does it cost to seal rows, to keep them and to read them back?

Series with the values of real services go through detector, memory, blocks and a real file, and
come back as queries ask for them. See README.md for what counts and what does not.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from aiops.config import Config
from aiops.domain.samples import F64
from aiops.pipeline import Core
from aiops.store.head import SealedBlock
from aiops.store.kernels.head import GROUP_SLOTS
from benchmarks import harness, report, store_codecs, store_parts, store_reads
from benchmarks.harness import Timings
from benchmarks.kernel_cases import SEED
from benchmarks.store_reads import Query, Rows
from benchmarks.store_workload import SERIES_A_QUERY, StoreWorkload
from benchmarks.timing import REPEATS

CHUNKS = 12
"""Six hours at 15 s in chunks of 120 rows: what a dashboard asks for."""
APPEND_SCRAPES = 120
PARTS_BLOCKS_MAX = 200
"""Chosen: blocks that the parts are timed over; more only takes longer."""
FEW_REPEATS = 3
"""Chosen: of what nobody does, so that the whole stays short."""

Record = dict[str, Any]
Write = Callable[[Path, Sequence[SealedBlock]], None]


def run(options: argparse.Namespace) -> None:
    """Measure parts and reads, and show the record."""
    config = Config()
    chunk_rows = config.store.chunk_rows
    work = StoreWorkload(options.series, CHUNKS * chunk_rows)
    core, blocks = applied(config, work)
    result: Record = {
        "benchmark": "store",
        **harness.describe_machine(),
        "seed": SEED,
        "repeats": REPEATS,
        "series": work.n_series,
        "chunk_rows": chunk_rows,
        "group_slots": GROUP_SLOTS,
        "rows": work.n_series * work.n_scrapes,
        **parts(work, blocks, chunk_rows),
        **reads(core, work, blocks, options.queries),
    }
    report.show(result, sheet_of(result), history=options.history)


def applied(config: Config, work: StoreWorkload) -> tuple[Core, list[SealedBlock]]:
    """Run all records through a core; return it and the blocks that left its memory."""
    core = Core(config, receivers=(), playbooks=(), external_url="")
    blocks: list[SealedBlock] = []
    for record in work.records():
        blocks += core.apply(record).sealed
    return core, blocks


def parts(work: StoreWorkload, blocks: Sequence[SealedBlock], chunk_rows: int) -> Record:
    """Return what memory, blocks and file cost a row."""
    full = store_parts.full_blocks(blocks, chunk_rows)[-PARTS_BLOCKS_MAX:]
    if not full:
        raise harness.BenchmarkError(f"no full block; take at least {GROUP_SLOTS} series")
    warmed = StoreWorkload(work.n_series, 2 * APPEND_SCRAPES)
    append = store_parts.append_cost(warmed.judged(APPEND_SCRAPES), chunk_rows)
    encode, decode = store_parts.encode_cost(full), store_parts.decode_cost(full)
    by_kind = store_parts.block_bytes_by_kind(full)
    return {
        "block_rows": len(full[0].sealed.rows),
        **_prefixed("append_", append.figures("row")),
        **_prefixed("encode_", encode.figures("row")),
        **_prefixed("decode_", decode.figures("block")),
        "block_bytes_per_row": round(store_parts.block_bytes_per_row(full), 3),
        "block_bytes_per_row_by_kind": {kind: round(v, 3) for kind, v in by_kind.items()},
        **_prefixed("file_", _file_figures(blocks, store_parts.write_blocks, REPEATS)),
        **_prefixed("single_", _file_figures(blocks, store_parts.write_one_by_one, FEW_REPEATS)),
        "choices": [store_codecs.measure(each) for each in store_codecs.choices(full, chunk_rows)],
    }


def _file_figures(blocks: Sequence[SealedBlock], write: Write, repeats: int) -> Record:
    return store_parts.file_cost(blocks, write=write, repeats=repeats).figures()


def reads(core: Core, work: StoreWorkload, blocks: Sequence[SealedBlock], n_queries: int) -> Record:
    """Return how long reads take, with everything in the page cache."""
    figures: Record = {}
    values = work.values()
    picks = np.random.default_rng(SEED).permutation(work.n_series).tolist()
    n_hundreds = work.n_series // SERIES_A_QUERY
    few = [k % n_hundreds for k in range(max(n_queries // 20, 5))]
    with harness.temporary_folder() as folder:
        store_parts.write_blocks(folder, blocks)
        with store_reads.open_rows(core, folder) as rows:
            one = [store_reads.one_series(work, i) for i in picks[:n_queries]]
            near = [store_reads.neighbours(work, k) for k in few]
            far = [store_reads.far_apart(work, k) for k in few]
            for name, queries in (("one_series", one), ("neighbours", near), ("far_apart", far)):
                figures |= _read_figures(name, rows, work, queries, values)
    return figures


def _read_figures(
    name: str, rows: Rows, work: StoreWorkload, queries: Sequence[Query], values: F64
) -> Record:
    measured: dict[str, Timings] = {
        "files": store_reads.time_files(rows, work, queries, values),
        "service": store_reads.time_service(rows, work, queries, values),
    }
    return {
        f"read_{name}_{layer}_ms_{label}": round(timings.percentile_ms(share), 3)
        for layer, timings in measured.items()
        for label, share in (("p50", 0.5), ("p99", 0.99))
    }


def _prefixed(prefix: str, figures: Record) -> Record:
    return {prefix + name: value for name, value in figures.items()}


_ROWS: tuple[tuple[str, str, str], ...] = (
    ("append to memory, full groups taken out, CPU ns a row", "append_cpu_ns_per_row", ".1f"),
    ("encode a block, CPU ns a row", "encode_cpu_ns_per_row", ".1f"),
    ("encode, write and sync a file, CPU ns a row", "file_cpu_ns_per_row", ".1f"),
    ("encode, write and sync a file, rows a second", "file_rows_per_s", ",.0f"),
    ("the same, a transaction a block, CPU ns a row", "single_cpu_ns_per_row", ".1f"),
    ("block, bytes a row", "block_bytes_per_row", ".2f"),
    ("file, bytes a row", "file_bytes_per_row", ".2f"),
    ("decode a block, CPU us", "decode_cpu_ns_per_block", "us"),
)
_READS = (
    ("one series, newest 240 rows", "one_series"),
    (f"{SERIES_A_QUERY} neighbours, all rows", "neighbours"),
    (f"{SERIES_A_QUERY} series far apart, all rows", "far_apart"),
)


def sheet_of(result: Record) -> report.Sheet:
    """Return the table of a record."""
    rows = [
        (title, _text(result[key], spec), _range_text(result, key, spec))
        for title, key, spec in _ROWS
    ]
    for kind, n_bytes in result["block_bytes_per_row_by_kind"].items():
        rows.append((f"block of {kind} alone, bytes a row", f"{n_bytes:.2f}", ""))
    for choice in result["choices"]:
        cost = f"{choice['cpu_ns_per_row']:.1f} ns"
        rows.append((f"{choice['choice']}, bytes a row", f"{choice['bytes_per_row']:.2f}", cost))
    for title, name in _READS:
        for layer in ("files", "service"):
            key = f"read_{name}_{layer}_ms"
            p50, p99 = result[f"{key}_p50"], result[f"{key}_p99"]
            rows.append((f"read {title}, {layer}, ms p50", f"{p50:.2f}", f"p99 {p99:.2f}"))
    return report.Sheet(
        f"store: {result['series']:,} series x {result['rows'] // result['series']:,} rows, "
        f"{result['group_slots']} series a block, {result['chunk_rows']} rows a series",
        ("median of runs", "figure", "spread"),
        tuple(rows),
        "page cache warm; files: block read, decode, unpack; service: selection, catalogue, memory "
        "and band as well",
    )


def _text(value: float, spec: str) -> str:
    return f"{value / 1000:.0f}" if spec == "us" else format(value, spec)


def _range_text(result: Record, key: str, spec: str) -> str:
    return " - ".join(_text(value, spec) for value in result.get(f"{key}_range", ()))


def parse_options(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, prog="bench_store.py")
    add = parser.add_argument
    add("--series", type=int, default=3_200, help="series, a multiple of 100")
    add("--queries", type=int, default=200, help="reads of one series; wide reads a twentieth")
    add("--history", action="store_true", help="append the table to RESULTS.md")
    return parser.parse_args(arguments)


def main() -> int:
    """Run the benchmark from the command line."""
    options = parse_options(sys.argv[1:])
    with harness.ended_by_signals():
        try:
            run(options)
        except harness.BenchmarkError as error:
            print(f"failed: {error}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("stopped; folders removed", file=sys.stderr)
            return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
