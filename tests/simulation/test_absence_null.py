"""What is ordinary in a fleet is no absence: days of churn, jitter and restarts, nothing told."""

import numpy as np
import pytest

from tests.simulation.absence_fleet import DAY_S, HOUR_S, TICK_S, Row, Target, World, opened


def fleet(seed: int = 1) -> World:
    """A fleet of ten instances, one of them slow, an hour old."""
    world = World(seed)
    for job in ("api", "db", "web"):
        for n in range(3):
            world.add(Target(job, f"{job}-{n}", n_series=5, interval_s=30))
    world.add(Target("slow", "slow-0", n_series=3, interval_s=300))
    world.run(HOUR_S)
    return world


def chance(world: World, per_s: float) -> bool:
    return bool(world.rng.random() < TICK_S * per_s)


def any_of(world: World, targets: list[Target]) -> Target:
    return targets[int(world.rng.integers(len(targets)))]


def of_job(world: World, job: str) -> list[Target]:
    return [target for target in world.targets if target.job == job]


def test_days_of_jitter_and_missed_scrapes():
    world = fleet()
    for target in world.targets:
        target.jitter_s = 0.25 * target.interval_s

    def every(now_s: float) -> None:
        if chance(world, 1 / 600):
            world.skip(any_of(world, world.targets), n_scrapes=2)

    world.run(2 * DAY_S, every)
    assert opened(world) == []


@pytest.mark.parametrize("has_markers", [True, False])
def test_pods_that_are_replaced(has_markers):
    world = fleet(2)
    born: list[int] = []

    def every(now_s: float) -> None:
        if chance(world, 1 / HOUR_S):
            old = any_of(world, of_job(world, "api"))
            born.append(len(born))
            world.add(Target("api", f"api-new-{len(born)}", n_series=5, interval_s=30))
            world.remove(old, markers=has_markers)
        if chance(world, 1 / HOUR_S):
            world.evict_idle()

    world.run(DAY_S, every)
    assert len(born) > 10
    assert opened(world) == []


@pytest.mark.parametrize("has_markers", [True, False])
def test_rolling_restarts(has_markers):
    """A scraper marks the end at once and waits; an agent is back before anybody misses it."""
    world = fleet(3)
    down: dict[str, tuple[Target, float]] = {}

    def every(now_s: float) -> None:
        for target, until_s in list(down.values()):
            if now_s >= until_s:
                world.revive(target)
                del down[target.instance]
        if chance(world, 1 / 600) and not down:
            target = any_of(world, world.targets[:9])
            away_s = float(world.rng.uniform(20, 200 if has_markers else 80))
            down[target.instance] = (target, now_s + away_s)
            if has_markers:
                world.die(target)
            else:
                world.remove(target, markers=False)

    world.run(DAY_S, every)
    assert opened(world) == []


def test_an_autoscaler_that_ends_what_it_started():
    world = fleet(4)
    extra: list[Target] = []

    def every(now_s: float) -> None:
        hour = now_s / HOUR_S % 8
        if 2 < hour < 5 and len(extra) < 3:
            name = f"api-extra-{int(now_s)}"
            extra.append(world.add(Target("api", name, n_series=5, interval_s=30)))
        if hour > 6 and extra:
            world.remove(extra.pop(), markers=True)

    world.run(2 * DAY_S, every)
    assert opened(world) == []


def test_series_of_rare_and_irregular_events():
    world = fleet(5)
    events = world.add(Target("events", "bus", n_series=6, up=False, interval_s=1e9))

    def every(now_s: float) -> None:
        for n, fingerprint in enumerate(events.fingerprints):
            if chance(world, 1 / (60 * (n + 1))):
                world.send([(fingerprint, world.now_ms, 1.0)])

    world.run(DAY_S, every)
    assert opened(world) == []


def test_a_sender_whose_rows_take_up_to_two_minutes():
    world = fleet(6)
    on_the_way: list[tuple[float, list[Row]]] = []
    world.route = lambda rows: on_the_way.append((world.now_s + delay_s(), rows))

    def delay_s() -> float:
        return 50 + 40 * float(np.sin(world.now_s / 3000)) + float(world.rng.uniform(0, 20))

    def every(now_s: float) -> None:
        while on_the_way and on_the_way[0][0] <= now_s:
            world.deliver(on_the_way.pop(0)[1])

    world.run(DAY_S, every)
    assert opened(world) == []


def test_a_sender_in_bursts_of_five_minutes():
    world = World(7)
    for n in range(3):
        world.add(Target("edge", f"edge-{n}", n_series=5))
    kept: list[Row] = []
    world.route = kept.extend

    def every(now_s: float) -> None:
        if now_s % 300 < TICK_S:
            world.deliver(kept[:])
            kept.clear()

    world.run(DAY_S / 2, every)
    assert opened(world) == []


def test_scrapes_that_become_four_times_rarer_are_at_most_one_absence_of_the_source():
    world = fleet(8)
    for target in world.targets[:9]:
        target.interval_s = 100
    world.run(4 * HOUR_S)
    assert opened(world) == []


def test_a_true_zero_is_a_value():
    world = fleet(9)
    world.value = 0.0
    world.run(6 * HOUR_S)
    assert opened(world) == []


def test_senders_whose_clocks_are_wrong_but_steady():
    world = World(10)
    for n, skew_s in enumerate((-3600.0, -40.0, 0.0, 40.0, 400.0)):
        world.add(Target("skewed", f"i{n}", n_series=5, skew_s=skew_s))
    world.run(DAY_S / 2)
    assert opened(world) == []


@pytest.mark.parametrize("away_s", [10, 90, 1800])
def test_our_own_restarts_are_nobody_elses_absence(away_s):
    world = fleet(11)
    for _ in range(3):
        world.restart(away_s)
        world.run(HOUR_S)
    assert opened(world) == []


def test_our_clock_set_back_is_nobodys_absence():
    world = fleet(12)
    world.clock_s = -2 * HOUR_S
    world.run(HOUR_S)
    assert opened(world) == []
