"""Where a start spends its time: its phases, and the imports summed by package."""

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from benchmarks.harness import BenchmarkError, clean_environment

_PHASES = """
import importlib, json, time
marks = [time.perf_counter()]
importlib.import_module("aiops.cli.main")
marks.append(time.perf_counter())
importlib.import_module("aiops.warm").compile_kernels(lambda *_: None)
marks.append(time.perf_counter())
importlib.import_module("aiops.app")
marks.append(time.perf_counter())
names = ("command line", "kernels with Numba", "service")
print(json.dumps({name: b - a for name, a, b in zip(names, marks, marks[1:])}))
"""
_LINE = re.compile(r"^import time:\s+(\d+) \|\s+(\d+) \| (\s*)(\S+)$")


@dataclass(frozen=True, slots=True)
class ImportTime:
    """One import: microseconds of the module's own code, and of all it brought along."""

    name: str
    own_us: int
    total_us: int
    depth: int


def phases_s(environment: Mapping[str, str]) -> dict[str, float]:
    """Return the seconds that a fresh process takes to import what `aiops serve` imports, in order.

    Raises
    ------
    BenchmarkError
        When the process fails.
    """
    command = (sys.executable, "-c", _PHASES)
    full = clean_environment() | dict(environment)
    done = subprocess.run(command, env=full, check=False, capture_output=True, text=True)
    if done.returncode:
        raise BenchmarkError(f"imports failed:\n{done.stderr[-2000:]}")
    return {name: round(float(s), 3) for name, s in json.loads(done.stdout).items()}


def parse_imports(text: str) -> list[ImportTime]:
    """Return the imports in the order they ended.

    Raises
    ------
    BenchmarkError
        When there are none: the interpreter was not asked for them.
    """
    matches = (_LINE.match(line) for line in text.splitlines())
    found = [
        ImportTime(match[4], int(match[1]), int(match[2]), len(match[3]) // 2)
        for match in matches
        if match
    ]
    if not found:
        raise BenchmarkError("no import times in the log")
    return found


def own_ms_by_package(imports: Iterable[ImportTime]) -> dict[str, float]:
    """Return milliseconds by package, the largest first.

    A package bears its own modules only, not what they import from elsewhere. Modules imported
    by name, as the kernels are, do not show in Python's report; what they import does.
    """
    sums: Counter[str] = Counter()
    for each in imports:
        sums[each.name.partition(".")[0]] += each.own_us
    return {name: round(us / 1000, 1) for name, us in sums.most_common()}


def largest(sums: Mapping[str, float], n: int) -> dict[str, float]:
    """Return the first `n` packages and the sum of the others."""
    first = dict(list(sums.items())[:n])
    return first | {"others": round(sum(sums.values()) - sum(first.values()), 1)}
