"""What a call inside this process costs: CPU and wall time an item, over several runs."""

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.harness import median, spread

REPEATS = 7
RUN_S_MIN = 0.005
"""Chosen: shorter calls are repeated within a run, so that the clock's own microsecond is lost."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Nanoseconds an item, one figure a run; CPU counts every thread of this process."""

    cpu_ns: tuple[float, ...]
    wall_ns: tuple[float, ...]

    @property
    def cpu_ns_median(self) -> float:
        """The median run's CPU nanoseconds an item."""
        return median(self.cpu_ns)

    def figures(self, item: str) -> dict[str, float | list[float]]:
        """Return the medians and the spread under names that end in `_per_<item>`."""
        return {
            f"cpu_ns_per_{item}": round(self.cpu_ns_median, 2),
            f"cpu_ns_per_{item}_range": [round(value, 2) for value in spread(self.cpu_ns)],
            f"wall_ns_per_{item}": round(median(self.wall_ns), 2),
        }


def time_calls(
    call: Callable[[], object],
    n_items: int,
    *,
    reset: Callable[[], object] | None = None,
    repeats: int = REPEATS,
) -> Cost:
    """Return what `call` costs for each of its `n_items`; the first two calls are not counted.

    Parameters
    ----------
    reset
        Runs before each call, outside the measured time, to bring back what the call used up.
    """
    _time_run(call, reset, 1)  # memory is touched and caches are filled
    once_s = max(_time_run(call, reset, 1)[1], 1e-6)
    n_loops = max(1, round(RUN_S_MIN / once_s))
    cpu, wall = [], []
    for _ in range(repeats):
        gc.collect()
        cpu_s, wall_s = _time_run(call, reset, n_loops)
        cpu.append(cpu_s / n_loops / n_items * 1e9)
        wall.append(wall_s / n_loops / n_items * 1e9)
    return Cost(tuple(cpu), tuple(wall))


def _time_run(
    call: Callable[[], object], reset: Callable[[], object] | None, n_loops: int
) -> tuple[float, float]:
    if reset is None:
        return _time_loop(call, n_loops)
    cpu_s = wall_s = 0.0
    for _ in range(n_loops):
        reset()
        once_cpu_s, once_wall_s = _time_loop(call, 1)
        cpu_s, wall_s = cpu_s + once_cpu_s, wall_s + once_wall_s
    return cpu_s, wall_s


def _time_loop(call: Callable[[], object], n_loops: int) -> tuple[float, float]:
    cpu_s, wall_s = time.process_time(), time.perf_counter()
    for _ in range(n_loops):
        call()
    return time.process_time() - cpu_s, time.perf_counter() - wall_s
