"""SIGTERM under load: a stop in good time that loses nothing, and a quick start after it."""

import random
import time
from pathlib import Path

import pytest
from e2e_bench import bench, check_samples, check_stopped
from e2e_programs import tell, wait_until

STOP_WITHIN_S = 10.0
ROUNDS_BEFORE_STOP = 300


@pytest.mark.timeout(180)
def test_sigterm_under_load_ends_within_10_s_and_loses_nothing(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(1_000_000)
    tell(f"seed {seed}")
    # The one snapshot is that of the stop: nothing is trimmed that the tap has not seen.
    with bench(tmp_path, seed=seed, snapshot_s=600.0) as subject:
        subject.start_load()
        wait_until(lambda: subject.samples.n_acked > ROUNDS_BEFORE_STOP, 30.0, "load is flowing")
        process = subject.service.process
        assert process is not None
        started_s = time.monotonic()
        process.terminate()
        assert process.wait(30.0) == 0
        stop_s = time.monotonic() - started_s
        with subject.tap.paused:
            started_s = time.monotonic()
            subject.service.start()
            ready_s = time.monotonic() - started_s
        tell(f"stopped in {stop_s:.2f} s, ready again in {ready_s:.2f} s")
        assert stop_s < STOP_WITHIN_S
        assert subject.service.log_events("journal.replayed")[-1]["records"] == 0
        subject.end_load()
        check_samples(subject)
        check_stopped(subject, n_stops=1)
