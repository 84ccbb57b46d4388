"""kill -9 at random moments under load: nothing acknowledged is lost, nothing is done twice."""

import random
import time
from pathlib import Path

import numpy as np
import pytest
from e2e_bench import (
    ROUNDS_BEFORE_MIDNIGHT,
    Bench,
    bench,
    check_samples,
    check_stopped,
    read_members,
)
from e2e_load import METRIC, N_SERIES, STEP_MS
from e2e_programs import tell, wait_until

N_KILLS = 25
N_KILLS_AT_START = N_KILLS // 5
VISIBLE_WITHIN_S = 5.0


@pytest.mark.timeout(300)
def test_25_kills_under_load_lose_and_double_nothing(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(1_000_000)
    tell(f"seed {seed}")
    with bench(tmp_path, seed=seed) as subject:
        subject.hook.refuse_every(7)
        subject.start_load()
        chance = random.Random(seed)
        ready_s = [_kill_and_restart(subject, chance, number) for number in range(N_KILLS)]
        tell(f"start to ready: median {np.median(ready_s):.2f} s, longest {max(ready_s):.2f} s")
        subject.end_load()
        check_samples(subject)
        assert subject.samples.n_acked > ROUNDS_BEFORE_MIDNIGHT, "too few to fill two days"
        subject.wait_snapshot()
        check_stopped(subject, n_stops=N_KILLS + N_KILLS_AT_START)
        assert len(subject.operator.acked) > 5


def _kill_and_restart(subject: Bench, chance: random.Random, number: int) -> float:
    """Kill the service at a random moment and return how long it then takes to be ready."""
    service, tap = subject.service, subject.tap
    time.sleep(chance.uniform(0.0, 1.5))
    if number % 3 == 0:
        _check_one_series(subject, member=chance.randrange(N_SERIES))
    with tap.paused:
        service.kill()
        if number % 5 == 4:  # while it starts, replays or has just begun to serve
            service.launch()
            time.sleep(chance.uniform(0.2, 2.0))
            service.kill()
        started_s = time.monotonic()
        service.start()
        return time.monotonic() - started_s


def _check_one_series(subject: Bench, *, member: int) -> None:
    """Under load, too, each round acknowledged so far is soon read, exactly once."""
    n_acked = subject.samples.n_acked
    wait_until(
        lambda: _rounds_read(subject, member) >= n_acked, VISIBLE_WITHIN_S, f"{n_acked} are read"
    )


def _rounds_read(subject: Bench, member: int) -> int:
    found = read_members(subject, f'{METRIC}{{member="{member:03}"}}')
    times = np.array([at_ms for values in found.values() for at_ms, _ in values], np.int64)
    assert np.array_equal(times, subject.samples.start_ms + np.arange(len(times)) * STEP_MS)
    return len(times)
