"""Pictures of detection: a series with its band above, the scores below, labels behind both.

Drawn by matplotlib, which only the extra `plot` installs; it is imported when a picture is drawn.
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from aiops.domain.samples import F64
from aiops.errors import AiopsError
from aiops.evaluate.arrays import Scores
from aiops.evaluate.datasets import LabelledSeries
from aiops.evaluate.plot_columns import PlotColumns, Times, plot_columns

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SUFFIXES = (".png", ".svg")
SIZE_INCHES = (13.0, 6.5)
DOTS_PER_INCH = 130
MARGIN_RATIO = 0.15
"""Chosen: room above and below the values, so that a calm band is seen whole."""
LEGEND_ROOM = 1.25
"""Chosen: height of the panel of scores, as a multiple of the highest."""
SEVERITY_TOP_MIN = 6.0
"""Chosen: a quiet series must look quiet, not be stretched to the height of the panel."""
VALUE_COLOUR, BAND_COLOUR, EXPECTED_COLOUR = "#1f2a44", "#9ecae1", "#2171b5"
SEVERITY_COLOUR, ALERT_COLOUR, LABEL_COLOUR = "#525252", "#d94801", "#fdae6b"
SCORE_NAMES = tuple(Scores.__dataclass_fields__)
LABEL_WIDTH_RATIO = 1 / 400
"""Chosen: a label is widened to two or three pixels, else one of a few rows is not seen."""


class PlotError(AiopsError):
    """A picture cannot be drawn."""


@dataclass(frozen=True, slots=True)
class Picture:
    """What is drawn.

    Parameters
    ----------
    scores
        Of the series, one for each row.
    level
        Severity to draw a line at, None for no line.
    """

    title: str
    series: LabelledSeries
    scores: Scores
    level: float | None = None

    def rows(self, first: int, end: int | None) -> "Picture":
        """Return the picture of rows from `first` to before `end`, None for the last."""
        rows = slice(first, end)
        n_rows = len(self.series.ts_ms[rows])
        windows = tuple(
            (max(start - first, 0), min(stop - first, n_rows - 1))
            for start, stop in self.series.windows
            if stop >= first and start - first < n_rows
        )
        series = LabelledSeries(
            self.series.name,
            self.series.ts_ms[rows],
            self.series.values[rows],
            self.series.labels[rows],
            windows,
        )
        columns = {name: getattr(self.scores, name)[rows] for name in SCORE_NAMES}
        return Picture(self.title, series, Scores(**columns), self.level)


def draw(picture: Picture, path: Path) -> None:
    """Write a picture to a file, PNG or SVG by its name.

    Raises
    ------
    PlotError
        When matplotlib is not installed, the name ends otherwise, there are no rows, or the file
        cannot be written.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise PlotError(f"{path} must end in {' or '.join(SUFFIXES)}")
    if len(picture.series.ts_ms) == 0:
        raise PlotError(f"{picture.title}: there are no rows to draw")
    with _style():
        _save(_composed(picture), path)


def _composed(picture: Picture) -> "Figure":
    from matplotlib.figure import Figure

    figure = Figure(figsize=SIZE_INCHES, dpi=DOTS_PER_INCH, layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    columns = plot_columns(picture.series, picture.scores)
    _draw_values(top, columns, picture.series.values)
    _draw_scores(bottom, columns, picture.level)
    for axes in (top, bottom):
        _draw_labels(axes, picture.series)
        axes.grid(visible=True, alpha=0.25)
        axes.legend(loc="upper left", ncols=4, fontsize=8, framealpha=0.8)
    top.set_title(picture.title, loc="left", fontsize=11)
    return figure


def _style() -> AbstractContextManager[None]:
    try:
        from matplotlib import rc_context
    except ImportError as error:
        raise PlotError(
            "drawing needs matplotlib, which is not installed: pip install 'aiops[plot]'"
        ) from error
    # Short dates; a fixed salt, without which no two SVG files of one picture are the same; and
    # names of series come from outside, a dollar sign in one is no formula.
    return rc_context(
        {"date.converter": "concise", "svg.hashsalt": "aiops", "text.parse_math": False}
    )


def _save(figure: "Figure", path: Path) -> None:
    # With a date no two drawings of one picture would be the same file.
    metadata = {"Date": None} if path.suffix.lower() == ".svg" else None
    try:
        figure.savefig(path, metadata=metadata)
    except OSError as error:
        raise PlotError(f"{path} cannot be written: {error}") from error


def _draw_values(axes: "Axes", columns: PlotColumns, values: F64) -> None:
    times = columns.times
    axes.fill_between(
        times, columns.lower, columns.upper, color=BAND_COLOUR, alpha=0.6, linewidth=0, label="band"
    )
    axes.plot(times, columns.expected, color=EXPECTED_COLOUR, linewidth=0.7, label="expected")
    zigzag = np.column_stack([columns.least, columns.greatest]).ravel()
    axes.plot(np.repeat(times, 2), zigzag, color=VALUE_COLOUR, linewidth=0.8, label="value")
    axes.set_ylim(*value_range(values))
    axes.set_ylabel("value")
    if len(times) > 1:
        axes.set_xlim(times[0], times[-1])


def _draw_scores(axes: "Axes", columns: PlotColumns, level: float | None) -> None:
    times, severity, alert = columns.times, columns.severity, columns.alert
    axes.fill_between(times, 0, severity, color=SEVERITY_COLOUR, alpha=0.25, linewidth=0)
    axes.plot(times, severity, color=SEVERITY_COLOUR, linewidth=0.8, label="severity")
    axes.plot(times, alert, color=ALERT_COLOUR, linewidth=0.8, linestyle="--", label="alert")
    if level is not None and np.isfinite(level):
        label = f"threshold {level:.2f}"
        axes.axhline(level, color="black", linewidth=0.7, linestyle=":", label=label)
    highest = max(float(np.nanmax(severity)), float(np.nanmax(alert)), SEVERITY_TOP_MIN)
    axes.set_ylim(0, LEGEND_ROOM * highest)
    axes.set_ylabel("-log10 p")
    axes.set_xlabel("time, UTC")


def _draw_labels(axes: "Axes", series: LabelledSeries) -> None:
    times = _times(series)
    least = (times[-1] - times[0]) * LABEL_WIDTH_RATIO
    for k, (first, last) in enumerate(series.windows):
        start, end = times[first], times[last]
        widened = max((least - (end - start)) // 2, np.timedelta64(0, "ms"))
        axes.axvspan(
            start - widened,
            end + widened,
            color=LABEL_COLOUR,
            alpha=0.45,
            linewidth=0,
            zorder=0,
            label="labelled" if k == 0 else None,
        )


def value_range(values: F64) -> tuple[float, float]:
    """Return the ends of the axis: those of the finite values, and some room."""
    finite = values[np.isfinite(values)]
    if len(finite) == 0:
        return -1.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    room = MARGIN_RATIO * (high - low) or max(abs(high), 1.0) * MARGIN_RATIO
    return low - room, high + room


def _times(series: LabelledSeries) -> Times:
    return series.ts_ms.astype("datetime64[ms]")
