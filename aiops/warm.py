"""Compiles the kernels ahead of need, with progress; the machine code is cached on disk.

Kernels carry explicit signatures, so importing their module compiles them, or loads them from
the cache. `python -m aiops.warm` fills the cache, for instance while an image is built.
"""

import importlib
import sys
import time
from collections.abc import Callable

KERNEL_MODULES = (
    "aiops.wire.kernels.hashing",
    "aiops.wire.kernels.label_check",
    "aiops.wire.kernels.remote_write",
    "aiops.series.kernels.u64_map",
    "aiops.series.kernels.intake",
    "aiops.series.kernels.quality",
    "aiops.series.kernels.histograms",
    "aiops.series.kernels.ratios",
    "aiops.store.kernels.head",
    "aiops.detect.kernels.rules",
    "aiops.detect.kernels.seasonal",
    "aiops.detect.kernels.episodes",
    "aiops.detect.kernels.absence",
    "aiops.detect.kernels.group",
    "aiops.detect.kernels.peers",
)

COLD_S = 0.8
"""Measured: loading one module's kernels from the cache takes 0.05 s, compiling them 1-3 s."""

Progress = Callable[[str, int, int], None]
"""Called with a module's name, how many are done, and how many there are."""


def compile_kernels(progress: Progress) -> None:
    """Import every module of kernels; tell of progress once compiling shows to be slow."""
    is_cold = False
    for number, name in enumerate(KERNEL_MODULES, start=1):
        started_s = time.monotonic()
        importlib.import_module(name)
        is_cold = is_cold or time.monotonic() - started_s > COLD_S
        if is_cold:
            progress(name, number, len(KERNEL_MODULES))


def report_to_stderr(name: str, number: int, total: int) -> None:
    """Write one line of progress."""
    sys.stderr.write(f"kernels {number}/{total} compiled: {name}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    compile_kernels(report_to_stderr)
