"""What the choices behind a block cost: level, settings for codes, series sealed together."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pcodec import ChunkConfig, DeltaSpec, ModeSpec, standalone

from aiops.store.head import SealedBlock
from benchmarks.harness import BenchmarkError
from benchmarks.timing import Cost, time_calls

Column = npt.NDArray[Any]

PLAIN = ChunkConfig(compression_level=4, delta_spec=DeltaSpec.no_op(), mode_spec=ModeSpec.classic())


@dataclass(frozen=True, slots=True)
class Choice:
    """One way to compress columns.

    Parameters
    ----------
    columns
        Compressed one by one; all rows of a block, or of one series.
    n_rows
        Rows of all columns that make up one value each.
    """

    name: str
    columns: tuple[Column, ...]
    n_rows: int
    config: ChunkConfig

    def encode(self) -> list[bytes]:
        """Return each column's bytes."""
        return [standalone.simple_compress(column, self.config) for column in self.columns]


def choices(blocks: Sequence[SealedBlock], chunk_rows: int) -> tuple[Choice, ...]:
    """Return the ways to compress full blocks that were weighed against one another."""
    values = tuple(_values(block) for block in blocks)
    alone = tuple(part for column in values for part in np.split(column, len(column) // chunk_rows))
    codes = tuple(code for block in blocks for code in _codes(block))
    n_rows = sum(map(len, values))
    level_4, level_8 = (ChunkConfig(compression_level=level) for level in (4, 8))
    return (
        Choice("values, level 4", values, n_rows, level_4),
        Choice("values, level 8", values, n_rows, level_8),
        Choice("values, level 4, each series alone", alone, n_rows, level_4),
        Choice("bands and scores, plain", codes, n_rows, PLAIN),
        Choice("bands and scores, searched", codes, n_rows, level_4),
    )


def measure(choice: Choice) -> dict[str, object]:
    """Return cost and size a row of a choice.

    Raises
    ------
    BenchmarkError
        When the bytes do not give back the columns.
    """
    data = choice.encode()
    if not is_lossless(choice, data):
        raise BenchmarkError(f"{choice.name}: decoded columns differ")
    cost: Cost = time_calls(choice.encode, choice.n_rows)
    n_bytes = sum(map(len, data))
    return {
        "choice": choice.name,
        **cost.figures("row"),
        "bytes_per_row": round(n_bytes / choice.n_rows, 3),
    }


def is_lossless(choice: Choice, data: Sequence[bytes]) -> bool:
    """Tell whether the bytes give back every column to the bit."""
    found = (standalone.simple_decompress(each) for each in data)
    return all(
        column.tobytes() == decoded.tobytes()
        for column, decoded in zip(choice.columns, found, strict=True)
    )


def _values(block: SealedBlock) -> Column:
    return np.ascontiguousarray(block.sealed.rows[:, 0]).view(np.float64)


def _codes(block: SealedBlock) -> list[Column]:
    """Return half-width, deviation and score of a block's rows, as memory packs them."""
    words = block.sealed.rows[:, 1]
    shifts = ((20, 0xFFF), (8, 0xFFF), (0, 0xFF))
    return [(words >> np.uint64(n) & np.uint64(mask)).astype(np.uint16) for n, mask in shifts]
