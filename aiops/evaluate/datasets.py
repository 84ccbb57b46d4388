"""Labelled public series as arrays, read from compressed numpy files that anybody can make.

A set is a file `NAME.npz` in the folder `detection/` of the data; its name begins with its family.

- `nab*`, `kpi*`: series one after the other. `names`; `off`, where each begins, and the end;
  `dts`, seconds since the row before, of a series' first row since the epoch; `values`; `labels`;
  for NAB `windows`, rows of (series, first, last).
- `smd*`, `asd*`: machines, each with several metrics. `names`; for each `NAME|train` and
  `NAME|test`, metrics by rows in millionths, and `NAME|label`, one for each test row.

NAB has rows every 5 minutes as a rule, KPI every minute (a few series every 5). SMD and ASD come
without times; rows are taken to be 60 s and 300 s apart (`STEP_MS`) and to begin at a midnight.
A row that is not later than the one before (NAB has some) is moved to one second after it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from aiops.domain.samples import F64, I64
from aiops.errors import AiopsError
from aiops.evaluate.scorers.segments import Labels, segments_of

FOLDER = "detection"
UNIVARIATE = ("nab", "kpi")
STEP_MS: Mapping[str, int] = {"smd": 60_000, "asd": 300_000}
"""Step of the families without times: SMD says one minute, ASD five (their publications)."""
START_MS = 1_704_067_200_000
"""2024-01-01 00:00 UTC, a Monday: any midnight would do."""
SECOND_MS = 1000
VALUE_PARTS = 1e6
"""Machines' values are stored as millionths."""


class DatasetError(AiopsError):
    """A labelled set is missing or cannot be read."""


@dataclass(frozen=True, slots=True)
class LabelledSeries:
    """One series with its truth.

    Parameters
    ----------
    labels
        True where a row is anomalous.
    windows
        First and last row of each labelled disturbance.
    """

    name: str
    ts_ms: I64
    values: F64
    labels: Labels
    windows: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Machine:
    """Several metrics that share times and labels.

    Parameters
    ----------
    values
        Shape (rows, metrics).
    labels
        For every row; none of the first `n_train` rows is labelled, and none is judged.
    """

    name: str
    ts_ms: I64
    values: F64
    labels: Labels
    n_train: int


@dataclass(frozen=True, slots=True)
class Dataset:
    """A set: series or machines, the other one is empty."""

    name: str
    series: tuple[LabelledSeries, ...] = ()
    machines: tuple[Machine, ...] = ()

    @property
    def truths(self) -> tuple[LabelledSeries | Machine, ...]:
        """All series, or all machines."""
        return (*self.series, *self.machines)

    @property
    def family(self) -> str:
        """The public set it comes from: nab, kpi, smd or asd."""
        return family_of(self.name)


def family_of(name: str) -> str:
    """Return the family a set's name begins with, empty if none."""
    families = (*UNIVARIATE, *STEP_MS)
    return next((family for family in families if name.startswith(family)), "")


def set_names(data: Path) -> tuple[str, ...]:
    """Return the names of the sets in a folder of data.

    Raises
    ------
    DatasetError
        When there are none.
    """
    folder = data / FOLDER
    names = sorted(path.stem for path in folder.glob("*.npz") if family_of(path.stem))
    if not names:
        raise DatasetError(
            f"no labelled sets in {folder}; name the folder that holds {FOLDER}/ with nab*.npz, "
            "kpi*.npz, smd*.npz or asd*.npz by --data or AIOPS_DATA"
        )
    return tuple(names)


def load_set(data: Path, name: str) -> Dataset:
    """Return a set by its name.

    Raises
    ------
    DatasetError
        When it is missing or not laid out as it should be.
    """
    path = data / FOLDER / f"{name}.npz"
    if not (path.is_file() and family_of(name)):
        raise DatasetError(f"no set {name!r}; there are {', '.join(set_names(data))}")
    try:
        with np.load(path, allow_pickle=False) as arrays:
            if family_of(name) in UNIVARIATE:
                return Dataset(name, series=tuple(_series(arrays)))
            return Dataset(name, machines=tuple(_machines(arrays, STEP_MS[family_of(name)])))
    except (KeyError, ValueError, OSError, EOFError) as error:
        raise DatasetError(f"{path} is not laid out as a labelled set: {error}") from error


def increasing(ts_ms: I64) -> I64:
    """Return times of which each is later than the one before; only those that were not move."""
    ranks = SECOND_MS * np.arange(len(ts_ms), dtype=np.int64)
    moved: I64 = np.maximum.accumulate(ts_ms - ranks) + ranks
    return moved


def _series(arrays: Mapping[str, npt.NDArray[np.generic]]) -> Iterator[LabelledSeries]:
    offsets = arrays["off"].tolist()
    steps_s, values, labels = (arrays[name] for name in ("dts", "values", "labels"))
    windows = arrays["windows"].tolist() if "windows" in arrays else None
    for k, name in enumerate(arrays["names"].tolist()):
        rows = slice(offsets[k], offsets[k + 1])
        truth = labels[rows] != 0
        ts_ms = SECOND_MS * np.cumsum(steps_s[rows].astype(np.int64))
        if windows is None:
            own = [(int(first), int(last)) for first, last in zip(*segments_of(truth), strict=True)]
        else:
            own = [(first, last) for owner, first, last in windows if owner == k]
        yield LabelledSeries(
            str(name), increasing(ts_ms), values[rows].astype(float), truth, tuple(own)
        )


def _machines(arrays: Mapping[str, npt.NDArray[np.generic]], step_ms: int) -> Iterator[Machine]:
    for name in arrays["names"].tolist():
        train, test = (arrays[f"{name}|{part}"].astype(float) for part in ("train", "test"))
        values = np.concatenate([train, test], axis=1).T / VALUE_PARTS
        n_train = train.shape[1]
        labels = np.append(np.zeros(n_train, bool), arrays[f"{name}|label"] != 0)
        ts_ms = START_MS + step_ms * np.arange(len(values), dtype=np.int64)
        if len(labels) != len(values):
            raise ValueError(f"{name}: {len(labels)} labels for {len(values)} rows")
        yield Machine(str(name), ts_ms, values, labels, n_train)
