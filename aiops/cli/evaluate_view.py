"""The table of `aiops evaluate quality`: a row for each column of scores."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from aiops.cli.terminal import cell
from aiops.evaluate.quality import QualityRow

NONE = "-"
HEADERS = (
    "KPI event F1",
    "NAB standard",
    "ASD VUS-PR",
    "SMD VUS-PR",
    "alarms at 1e-3",
    "alarms at 1e-4",
    "CPU us a row",
)


def quality_table(rows: Sequence[QualityRow], set_names: Sequence[str]) -> RenderableType:
    """Return the table, and below it what its figures are."""
    table = Table(title=f"detection on {', '.join(set_names)}", title_justify="left")
    table.add_column("detector")
    for header in HEADERS:
        table.add_column(header, justify="right")
    for row in rows:
        mark = " *" if row.subset else ""
        table.add_row(cell(row.name + mark), *figures(row))
    return Group(table, *(Text(line) for line in notes(rows)))


def figures(row: QualityRow) -> tuple[str, ...]:
    """Return the cells of a row under `HEADERS`."""
    ratios = (row.ratios.at_1e3, row.ratios.at_1e4) if row.ratios else (None, None)
    return (
        _cell(row.kpi_event.f1 if row.kpi_event else None, ".3f"),
        _cell(row.nab.score if row.nab else None, ".1f"),
        _cell(row.asd_vus_pr, ".3f"),
        _cell(row.smd_vus_pr, ".3f"),
        *(_cell(ratio, ".2f") for ratio in ratios),
        _cell(row.cpu_us_per_row, ".3f"),
    )


def notes(rows: Sequence[QualityRow]) -> tuple[str, ...]:
    """Return the lines below the table."""
    subsets = dict.fromkeys(row.subset for row in rows if row.subset)
    return (
        "Causal, one setting and one threshold for a whole set. NAB's threshold is its best one,",
        "KPI's is chosen on first halves and applied to second halves. Alarms are rows labelled",
        "normal at that tail probability, as a ratio to nominal (1 is honest, - claims none).",
        *(f"* measured on a part: {subset}" for subset in subsets),
    )


def _cell(figure: float | None, form: str) -> str:
    return NONE if figure is None else format(figure, form)
