"""How well does a detector detect? One row of figures for each column of scores.

Every series is scored once, from its first row, causally; settings and threshold are one for a
whole set. KPI series are judged by event F1 and row F1, NAB files by NAB's standard profile. Of a
machine each metric is scored alone over its train and test rows in order, the scores' mean over
the metrics is judged by VUS-PR on the test rows, and the set gets the mean over machines. False
alarms are pooled over the rows of all sets that are labelled normal (of machines: metrics x test
rows), after a warm-up that is the longer of ours and the detector's.

Several sets of one family are judged as one.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from aiops.config import DetectConfig
from aiops.domain.samples import F64
from aiops.evaluate.contenders import Contender
from aiops.evaluate.datasets import Dataset, LabelledSeries, Machine
from aiops.evaluate.scorers import (
    AlarmRatios,
    AlarmTally,
    KpiScore,
    NabFile,
    NabScore,
    event_f1,
    nab_score,
    row_f1,
    tally_alarms,
    vus_pr,
)
from aiops.evaluate.scorers.kpi import event_errors

Advance = Callable[[str, int], None]
"""Told of each step: what was scored, and how many rows that were."""

OUR_WARMUP_ROWS = DetectConfig().warmup_samples


@dataclass(frozen=True, slots=True)
class QualityRow:
    """What one column of scores is worth; None where no set of the family was measured.

    Parameters
    ----------
    kpi_event, kpi_row, nab
        See `event_f1`, `row_f1` and `nab_score`.
    asd_vus_pr, smd_vus_pr
        Mean over machines.
    ratios, ratios_by_set
        False alarms to nominal, pooled and for each set; None for scores that claim no
        probability.
    n_rows, cpu_us_per_row
        Rows scored and their CPU time, compilation excluded.
    subset
        What part of the data was measured; empty for all.
    losses
        How bad each series was, by (set, series): missed or false events of a KPI series,
        windows a NAB file fell short of perfect, 1 - VUS-PR of a machine.
    """

    name: str
    kpi_event: KpiScore | None
    kpi_row: KpiScore | None
    nab: NabScore | None
    asd_vus_pr: float | None
    smd_vus_pr: float | None
    ratios: AlarmRatios | None
    ratios_by_set: dict[str, AlarmRatios]
    n_rows: int
    cpu_us_per_row: float
    subset: str
    losses: dict[tuple[str, str], float]

    def as_record(self) -> dict[str, object]:
        """Return the figures as plain JSON types, without those of single series."""
        record: dict[str, object] = {"detector": self.name}
        if self.kpi_event is not None and self.kpi_row is not None:
            record |= {f"kpi_event_{key}": part for key, part in asdict(self.kpi_event).items()}
            record["kpi_row_f1"] = self.kpi_row.f1
        if self.nab is not None:
            record |= {"nab_standard": self.nab.score, "nab_threshold": self.nab.threshold}
        record |= {"asd_vus_pr": self.asd_vus_pr, "smd_vus_pr": self.smd_vus_pr}
        if self.ratios is not None:
            record |= {"ratio_at_1e-3": self.ratios.at_1e3, "ratio_at_1e-4": self.ratios.at_1e4}
        for name, ratios in self.ratios_by_set.items():
            record[f"ratio_at_1e-3_{name}"] = ratios.at_1e3
            record[f"ratio_at_1e-4_{name}"] = ratios.at_1e4
        record |= {"rows": self.n_rows, "cpu_us_per_row": self.cpu_us_per_row}
        rounded = {
            key: round(part, 4) if isinstance(part, float) else part
            for key, part in record.items()
            if part is not None
        }
        return rounded | ({"subset": self.subset} if self.subset else {})


@dataclass(frozen=True, slots=True)
class _Scored:
    """One series or machine with one column of scores."""

    set_name: str
    family: str
    truth: LabelledSeries | Machine
    scores: F64


def measure(
    contender: Contender, datasets: Sequence[Dataset], advance: Advance = lambda _what, _n: None
) -> tuple[QualityRow, ...]:
    """Return a row for each column of scores the contender gives."""
    parts = [contender.subset.of(each) if contender.subset else each for each in datasets]
    _warm_up(contender)
    columns: tuple[list[_Scored], ...] = tuple([] for _ in contender.names)
    tallies: tuple[dict[str, AlarmTally], ...] = tuple({} for _ in contender.names)
    n_rows, cpu_s = 0, 0.0
    for dataset in parts:
        for truth in dataset.truths:
            values = truth.values if truth.values.ndim == 2 else truth.values[:, np.newaxis]
            before_s = time.process_time()
            found = contender.score(truth.ts_ms, values)
            cpu_s += time.process_time() - before_s
            n_rows += values.size
            for k, scores in enumerate(found):
                _tally(tallies[k], dataset.name, truth, scores, contender)
                columns[k].append(_Scored(dataset.name, dataset.family, truth, scores.mean(axis=1)))
            advance(f"{dataset.name} {truth.name}", values.size)
    cpu_us = cpu_s / max(n_rows, 1) * 1e6
    subset = str(contender.subset or "")
    return tuple(
        _judge(name, column, tally, (n_rows, cpu_us, subset))
        for name, column, tally in zip(contender.names, columns, tallies, strict=True)
    )


def count_rows(contender: Contender, datasets: Sequence[Dataset]) -> int:
    """Return how many rows a contender will score, for whoever shows progress."""
    parts = [contender.subset.of(each) if contender.subset else each for each in datasets]
    return sum(truth.values.size for part in parts for truth in part.truths)


def _warm_up(contender: Contender) -> None:
    """Run compiled code once, so that what it costs to load is not counted."""
    contender.score(60_000 * np.arange(2, dtype=np.int64), np.zeros((2, 1)))


def _tally(
    tallies: dict[str, AlarmTally],
    set_name: str,
    truth: LabelledSeries | Machine,
    scores: F64,
    contender: Contender,
) -> None:
    if contender.levels is None:
        return
    warmup_rows = max(OUR_WARMUP_ROWS, contender.warmup_rows)
    labels = truth.labels
    if isinstance(truth, Machine):  # train rows carry no labels; they are the warm-up
        warmup_rows = max(warmup_rows, truth.n_train)
    tally = tally_alarms(scores, labels, contender.levels, warmup_rows=warmup_rows)
    tallies[set_name] = tallies.get(set_name, AlarmTally()) + tally


def _judge(
    name: str,
    column: Sequence[_Scored],
    tallies: dict[str, AlarmTally],
    cost: tuple[int, float, str],
) -> QualityRow:
    n_rows, cpu_us, subset = cost
    kpi = [each for each in column if each.family == "kpi"]
    kpi_scores, kpi_labels = [each.scores for each in kpi], [each.truth.labels for each in kpi]
    kpi_event = event_f1(kpi_scores, kpi_labels) if kpi else None
    nab_files = [each for each in column if each.family == "nab"]
    nab = _judge_nab(nab_files) if nab_files else None
    areas = {_key(each): area for each, area in _areas(column)}
    losses = {key: 1 - area for key, area in areas.items()}
    if kpi_event is not None:
        losses |= {
            _key(each): event_errors(each.scores, each.truth.labels, kpi_event.threshold)
            for each in kpi
        }
    if nab is not None:
        losses |= dict(zip(map(_key, nab_files), nab.file_losses, strict=True))
    by_set = {set_name: tally.ratios() for set_name, tally in tallies.items()}
    return QualityRow(
        name=name,
        kpi_event=kpi_event,
        kpi_row=row_f1(kpi_scores, kpi_labels) if kpi else None,
        nab=nab,
        asd_vus_pr=_mean_of(areas, "asd"),
        smd_vus_pr=_mean_of(areas, "smd"),
        ratios=sum(tallies.values(), AlarmTally()).ratios() if tallies else None,
        ratios_by_set=by_set,
        n_rows=n_rows,
        cpu_us_per_row=cpu_us,
        subset=subset,
        losses=losses,
    )


def _key(scored: _Scored) -> tuple[str, str]:
    return scored.set_name, scored.truth.name


def _judge_nab(files: Sequence[_Scored]) -> NabScore:
    return nab_score(
        [each.scores for each in files],
        [NabFile(len(each.scores), _windows_of(each.truth)) for each in files],
    )


def _windows_of(truth: LabelledSeries | Machine) -> tuple[tuple[int, int], ...]:
    return truth.windows if isinstance(truth, LabelledSeries) else ()


def _areas(column: Sequence[_Scored]) -> Iterator[tuple[_Scored, float]]:
    """Yield each machine with its VUS-PR on the test rows."""
    for each in column:
        if isinstance(each.truth, Machine):
            test = slice(each.truth.n_train, None)
            yield each, vus_pr(each.truth.labels[test], each.scores[test])


def _mean_of(areas: dict[tuple[str, str], float], family: str) -> float | None:
    own = [
        area
        for (set_name, _), area in areas.items()
        if set_name.startswith(family) and not math.isnan(area)
    ]
    return float(np.mean(own)) if own else None
