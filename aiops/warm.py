"""Compiles the kernels ahead of need, with progress; the machine code is cached on disk.

Kernels carry explicit signatures, so importing their module compiles them, or loads them from
the cache. `python -m aiops.warm` fills the cache, for instance while an image is built.
"""

import importlib
import sys
from collections.abc import Callable

KERNEL_MODULES = (
    "aiops.wire.kernels.hashing",
    "aiops.wire.kernels.label_check",
    "aiops.wire.kernels.remote_write",
    "aiops.series.kernels.u64_map",
    "aiops.series.kernels.intake",
    "aiops.store.kernels.head",
    "aiops.detect.kernels.seasonal",
    "aiops.detect.kernels.episodes",
)

Progress = Callable[[str, int, int], None]
"""Called with a module's name, its number from 0, and how many there are, before it compiles."""


def compile_kernels(progress: Progress) -> None:
    """Import every module of kernels, telling about each."""
    for number, name in enumerate(KERNEL_MODULES):
        progress(name, number, len(KERNEL_MODULES))
        importlib.import_module(name)


def report_to_stderr(name: str, number: int, total: int) -> None:
    """Write one line of progress."""
    sys.stderr.write(f"kernels {number + 1}/{total}: {name}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    compile_kernels(report_to_stderr)
