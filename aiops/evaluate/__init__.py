"""Worlds with a known truth, labelled public sets, and what a detector is worth on them.

For notebooks and other programs: `score_array` and `score_matrix` give the scores of whole arrays
by the very detector the service runs. The rest simulates fleets with faults in them, pushes them
as a Prometheus sender would, and measures and draws detection against labels.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiops.evaluate.arrays import Scores, score_array, score_matrix

__all__ = ["Scores", "score_array", "score_matrix"]


def __getattr__(name: str) -> object:
    """Return what this package exports, imported when first asked for (PEP 562).

    The detectors bring Numba and River along, a second that who only simulates should not pay.
    """
    if name in __all__:
        return getattr(importlib.import_module("aiops.evaluate.arrays"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
