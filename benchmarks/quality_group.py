"""How well are machines judged by all their metrics, and replicas by their peers? One JSON line.

`python -m benchmarks.quality_group [--data DIR]`. DIR (default: the variable AIOPS_DATA, else
`../shared/data`) holds `detection/` with the development halves of ASD and SMD, their loader and
the scorer: VUS-PR as TSB-AD defines it. All runs causally from the first training sample on,
with one set of parameters. Constants were chosen by every second machine ("chosen"); the others
("checked", of SMD a single machine) were looked at along the way, so neither figure stands in for
machines never seen. Without the data only the null fleets are measured, which are simulated here:
machines of 20 metrics and groups of 8 replicas that never change their nature.
"""

import argparse
import importlib
import json
import os
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from aiops.config import DetectConfig
from aiops.detect.banks.group import GroupBank
from aiops.detect.banks.peers import PeerBank
from aiops.detect.banks.seasonal import SeasonalBank
from aiops.detect.columns import ScoreColumns
from aiops.detect.episodes import Episodes
from aiops.domain.anomaly import AnomalyChange
from aiops.domain.samples import F64, I32, I64
from benchmarks.group_rivals import RIVALS
from benchmarks.harness import describe_machine
from benchmarks.quality_detection import NULLS

SEED = 1
START_MS = 1_700_006_400_000
SETS = {"asd_dev": 300_000, "smd8_dev": 60_000}
"""Spacing of the samples, ms."""
MIX = 0.3
"""Weight of a rival added to the bank's evidence, to see whether it knows anything more."""
NULL_ROWS = 10_000
NULL_STEP_MS = 60_000
NULL_MACHINES = 3  # of each kind
N_METRICS = 20
N_REPLICAS = 8
DAY_MS = 86_400_000


def own_scores(values: F64, ts_ms: I64) -> F64:
    """Return what each series' own bank says, [round, series]."""
    n, n_series = values.shape
    bank, out = SeasonalBank(DetectConfig(), n_series), ScoreColumns.allocate(n)
    scores = np.zeros((n, n_series))
    for k in range(n_series):
        slots = np.full(n, k, np.int32)
        bank.score_learn(slots, ts_ms, np.ascontiguousarray(values[:, k], float), out)
        scores[:, k] = out.scores
    return scores


def group_rounds(values: F64, scores: F64, ts_ms: I64) -> tuple[F64, F64]:
    """Return score and evidence of every round as the group bank judges it."""
    n, n_series = values.shape
    bank = GroupBank(
        n_series,
        warmup_samples=DetectConfig().warmup_samples,
        members_min=DetectConfig().group.members_min,
        rows_max=n * n_series,
    )
    for slot in range(n_series):
        bank.join(slot, 0)
    out = ScoreColumns.allocate(n)
    slots = np.tile(np.arange(n_series, dtype=np.int32), n)
    rows = (slots, np.repeat(ts_ms, n_series), np.ascontiguousarray(values, float).ravel())
    rounds = bank.score_learn(*rows, np.ascontiguousarray(scores).ravel(), out)
    at = np.searchsorted(ts_ms, rounds.ts_ms)
    told, evidence = np.zeros(n), np.zeros(n)
    told[at], evidence[at] = out.scores[: len(at)], out.features[: len(at)]
    return told, evidence


def public_set(load: ModuleType, metrics: ModuleType, name: str) -> dict[str, object]:
    """Return VUS-PR by candidate, on the machines it was chosen on, the others, and all."""
    found: dict[str, list[float]] = defaultdict(list)
    cpu_s, n_rows, normal = 0.0, 0, []
    for machine in load.multivariate(name).values():
        values = np.concatenate([machine["train"], machine["test"]])
        test = slice(len(machine["train"]), None)
        ts_ms = START_MS + SETS[name] * np.arange(len(values), dtype=np.int64)
        scores = own_scores(values, ts_ms)
        before_s = time.process_time()
        told, evidence = group_rounds(values, scores, ts_ms)
        cpu_s += time.process_time() - before_s
        n_rows += values.size
        normal.append(told[test][machine["label"] == 0])
        candidates = {rival: judge(values, scores) for rival, judge in RIVALS.items()}
        for rival in ("mahalanobis", "subspace"):
            candidates[f"group_bank_and_{rival}"] = evidence + MIX * candidates[rival]
        candidates["group_bank"] = told
        for candidate, each in candidates.items():
            found[candidate].append(metrics.vus_pr(machine["label"], each[test], step=5))
    rows = np.concatenate(normal)
    return {
        "vus_pr": {candidate: _halves(each) for candidate, each in found.items()},
        "ratio_at_1e-3": round(float((rows >= 3).mean() / 1e-3), 2),
        "ratio_at_1e-4": round(float((rows >= 4).mean() / 1e-4), 2),
        "cpu_us_per_sample": round(cpu_s / n_rows * 1e6, 4),
    }


def _halves(each: list[float]) -> dict[str, float]:
    halves = {"chosen": each[0::2], "checked": each[1::2], "all": each}
    return {name: round(float(np.mean(values)), 4) for name, values in halves.items()}


def null_machines() -> Iterator[tuple[str, F64]]:
    """Yield kinds and values of machines without faults: metrics alike, of all kinds, or bound."""
    for number in range(NULL_MACHINES):
        rng = np.random.default_rng([SEED, number])
        for kind, generate in NULLS.items():
            columns = [generate(rng, NULL_ROWS) for _ in range(N_METRICS)]
            yield kind, np.stack(columns, axis=1).astype(float)
        every = [generate(rng, NULL_ROWS) for generate in NULLS.values()]
        yield "all_kinds", np.stack(every, axis=1).astype(float)
        swing = np.sin(2 * np.pi * np.arange(NULL_ROWS) / 1440)
        load = np.exp(swing + 0.3 * NULLS["autocorrelated_0.7"](rng, NULL_ROWS))
        shares = rng.uniform(0.5, 2, N_METRICS)
        yield "shared_load", rng.poisson(20 * load[:, None] * shares).astype(float)


def count_opened(slots: I32, ts_ms: I64, out: ScoreColumns, episodes: Episodes) -> int:
    """Return how many episodes the default thresholds open."""
    n = len(slots)
    events = episodes.step(slots, ts_ms, out.features[:n], out, np.zeros(n, np.uint8))
    return sum(event.change is AnomalyChange.OPENED for event in events)


def null_entities() -> dict[str, object]:
    """Return false anomalies an entity and day, by kind and over all."""
    ts_ms = START_MS + NULL_STEP_MS * np.arange(NULL_ROWS, dtype=np.int64)
    opened: dict[str, int] = {}
    judged, n_machines = [], 0
    for kind, values in null_machines():
        scores, evidence = group_rounds(values, own_scores(values, ts_ms), ts_ms)
        out = ScoreColumns.allocate(NULL_ROWS)
        out.scores[:], out.features[:] = scores, evidence
        episodes = Episodes(DetectConfig(), 1, GroupBank.name)
        n_opened = count_opened(np.zeros(NULL_ROWS, np.int32), ts_ms, out, episodes)
        opened[kind] = opened.get(kind, 0) + n_opened
        judged.append(scores[400:])  # past both warm-ups
        n_machines += 1
    return _rates(opened, judged, n_machines, "entity")


def null_replicas() -> dict[str, object]:
    """Return false anomalies a replica and day, by kind and over all."""
    ts_ms = START_MS + NULL_STEP_MS * np.arange(NULL_ROWS, dtype=np.int64)
    opened: dict[str, int] = {}
    judged, n_replicas = [], 0
    for kind, values in null_machines():
        rows = np.ascontiguousarray(values[:, :N_REPLICAS])
        bank = PeerBank(N_REPLICAS, warmup_rounds=60, peers_min=4, rows_max=NULL_ROWS)
        for slot in range(N_REPLICAS):
            bank.join(slot, 0)
        out = ScoreColumns.allocate(bank.rows_out_max)
        episodes = Episodes(DetectConfig(), N_REPLICAS, PeerBank.name)
        slots = np.tile(np.arange(N_REPLICAS, dtype=np.int32), NULL_ROWS)
        for told in bank.score_learn(slots, np.repeat(ts_ms, N_REPLICAS), rows.ravel(), out):
            n = count_opened(told.slots, told.ts_ms, out, episodes)
            opened[kind] = opened.get(kind, 0) + n
            judged.append(out.scores[: len(told.slots)].copy())
        n_replicas += N_REPLICAS
    return _rates(opened, judged, n_replicas, "replica")


def _rates(opened: dict[str, int], judged: list[F64], n: int, what: str) -> dict[str, object]:
    days = n * NULL_ROWS * NULL_STEP_MS / DAY_MS
    scores = np.concatenate(judged)
    return {
        "false_anomalies": sum(opened.values()),
        "false_anomalies_by_kind": {kind: count for kind, count in opened.items() if count},
        f"{what}_days": round(days, 1),
        f"false_anomalies_per_{what}_day": round(sum(opened.values()) / days, 4),
        "ratio_at_1e-3": round(float((scores >= 3).mean() / 1e-3), 2),
        "ratio_at_1e-4": round(float((scores >= 4).mean() / 1e-4), 2),
    }


def main() -> int:
    """Measure and print the record."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    default = os.environ.get("AIOPS_DATA") or Path(__file__).resolve().parents[2] / "shared/data"
    parser.add_argument("--data", type=Path, default=Path(default), help="folder with detection/")
    folder = parser.parse_args().data / "detection"
    record: dict[str, object] = {"benchmark": "quality_group", "seed": SEED}
    needed = ("load.py", "metrics.py", *(f"{name}.npz" for name in SETS))
    missing = [name for name in needed if not (folder / name).is_file()]
    if missing:
        print(
            f"no public sets: {folder} lacks {', '.join(missing)}; name the folder that holds "
            "detection/ by --data or AIOPS_DATA. Measuring the null fleets alone.",
            file=sys.stderr,
        )
    else:
        sys.path.insert(0, str(folder))  # by their own names: Numba's cache of the scorer needs it
        load, metrics = map(importlib.import_module, ("load", "metrics"))
        record["public"] = {name: public_set(load, metrics, name) for name in SETS}
    record["null_entities"] = null_entities()
    record["null_replicas"] = null_replicas()
    print(json.dumps(record | describe_machine()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
