"""The episode machine against its plain twin; k_episodes_step runs through its owner.

`test_detect_twins.py` runs this file once more with the compiler switched off.
"""

import numpy as np
import pytest
from series_data import times

from aiops.config import DetectConfig
from aiops.detect.columns import ScoreColumns
from aiops.detect.episodes import Episodes
from tests.naive.detect import NaiveEpisode, naive_episodes_step, naive_tally


def episode_rows(seed, n, n_slots):
    rng = np.random.default_rng(seed)
    slots = rng.integers(0, n_slots, n).astype(np.int32)
    scores = rng.choice([0.0, 2.0, 4.0, 7.0, 9.0], n, p=[0.3, 0.2, 0.1, 0.2, 0.2])
    features = np.where(rng.random(n) < 0.05, np.nan, rng.normal(size=n))
    alerts, parts = scores * rng.random(n), rng.integers(0, 2**48, n, np.uint64)
    out = ScoreColumns(scores, rng.normal(size=n), rng.random(n), features, scores, alerts, parts)
    return slots, times(n), out


def told_of(out):
    return out.alerts, out.parts


def peak_of(event):
    band = (event.expected, event.lower, event.upper)
    return (event.score, event.peak_ms, event.value, *band, event.parts, event.alert)


@pytest.mark.parametrize("n", [0, 1, 3000])
@pytest.mark.parametrize("open_samples", [1, 3])
def test_episodes_step_equals_its_twin(n, open_samples):
    slots, ts_ms, out = episode_rows(n + open_samples, n, 7)
    config = DetectConfig(open_samples=open_samples, close_samples=4)
    mask = np.zeros(n, np.uint8)
    machine = Episodes(config, 7, "seasonal")
    events = machine.step(slots, ts_ms, out.features, out, mask)
    columns = (slots, ts_ms, out.features, out.scores, out.expected, out.half, *told_of(out))
    episodes: dict[int, NaiveEpisode] = {}
    twin_events, twin_mask = naive_episodes_step(
        episodes,
        list(zip(*(column.tolist() for column in columns), strict=True)),
        alarm=6.0,
        clear=3.0,
        open_samples=open_samples,
        close_samples=4,
    )
    told = [(str(e.change), e.slot, e.onset_ms, e.end_ms, *peak_of(e)) for e in events]
    assert told == twin_events
    assert mask.tolist() == twin_mask
    assert machine.open_now == sum(e.phase == "open" for e in episodes.values())
    assert machine.tally[0].tolist() == naive_tally(episodes)
    assert n < 3000 or len(told) > 20
