"""Plain twin of the episode machine, one slot at a time, in words before symbols.

The figures are repeated here on purpose, so that a kernel's constant cannot change unnoticed.
"""

import math
from dataclasses import dataclass, field


@dataclass
class NaiveEpisode:
    """What one slot went through; `run` holds the scores since the first that was not quiet."""

    phase: str = "idle"
    run: list[float] = field(default_factory=list)
    misses: int = 3
    quiet: list[int] = field(default_factory=list)
    onset_ms: int = 0
    peak: tuple[float, int, float, float, float, float, int] = (0.0, 0, 0.0, 0.0, 0.0, 0.0, 0)
    alert: float = 0.0
    reached: dict[int, float] = field(default_factory=dict)
    """The highest level it would have opened at, by day."""


def naive_episodes_step(
    episodes: dict[int, NaiveEpisode],
    rows: list[tuple[int, int, float, float, float, float, float, int]],
    *,
    alarm: float,
    clear: float,
    open_samples: int,
    close_samples: int,
) -> tuple[list[tuple], list[int]]:
    """Events and mask of (slot, ts_ms, feature, score, expected, half, alert, parts) rows."""
    events, mask = [], []
    for slot, ts_ms, feature, score, expected, half, alert, parts in rows:
        episode = episodes.setdefault(slot, NaiveEpisode())
        if math.isnan(feature) or (episode.phase == "idle" and score < clear):
            mask.append(int(episode.phase == "open"))
            continue
        if episode.phase == "idle":
            episode.phase, episode.run, episode.quiet, episode.misses = "restless", [], [], 3
        episode.run.append(score)
        window = sorted(episode.run[-(open_samples + 2) :], reverse=True)
        opening = window[open_samples - 1] if len(window) >= open_samples else 0.0
        day = ts_ms // 86_400_000
        episode.reached[day] = max(episode.reached.get(day, 0.0), opening)
        if episode.phase == "restless":
            if score >= alarm and episode.misses > 2:
                episode.onset_ms, episode.peak, episode.alert = ts_ms, NaiveEpisode.peak, 0.0
            episode.misses = 0 if score >= alarm else episode.misses + 1
        if episode.phase == "open" or episode.misses <= 2:
            episode.alert = max(episode.alert, alert)
            if score > episode.peak[0]:
                band = (expected, expected - half, expected + half)
                episode.peak = (score, ts_ms, feature, *band, parts)
        episode.quiet = [*episode.quiet, ts_ms] if score < clear else []
        told = (slot, episode.onset_ms)
        if episode.phase == "open" and len(episode.quiet) >= close_samples:
            episode.phase = "idle"
            events.append(("closed", *told, episode.quiet[0], *episode.peak, episode.alert))
        elif episode.phase == "restless" and len(episode.quiet) >= max(close_samples, 3):
            episode.phase = "idle"
        elif episode.phase == "restless" and score >= alarm and opening >= alarm:
            episode.phase = "open"
            events.append(("opened", *told, 0, *episode.peak, episode.alert))
        mask.append(int(episode.phase == "open"))
    return events, mask


def naive_tally(episodes: dict[int, NaiveEpisode]) -> list[int]:
    """How many (slot, day) pairs reached each level 3, 3 1/8, ... 17 7/8."""
    reached = [top for episode in episodes.values() for top in episode.reached.values()]
    return [sum(top >= 3 + k / 8 for top in reached) for k in range(120)]
