"""What stops is told: once, for the largest group concerned, in time, and until it is back."""

import pytest

from aiops.domain.anomaly import Anomaly, AnomalyChange, AnomalyKind
from tests.simulation.absence_fleet import HOUR_S, T0_MS, Target, World, of_change, opened

START_S = 2 * HOUR_S


def fleet(**detect: object) -> World:
    """Thirteen scraped instances of five jobs, two hours old."""
    world = World(1, **detect)
    for job in ("api", "db", "web"):
        for n in range(4):
            world.add(Target(job, f"{job}-{n}"))
    world.add(Target("alone", "alone-0", interval_s=60))
    world.run(START_S)
    assert opened(world) == []
    return world


def of_job(world: World, job: str) -> list[Target]:
    return [target for target in world.targets if target.job == job]


def the_one(world: World) -> Anomaly:
    (anomaly,) = world.absences()
    return anomaly


def at_s(at_ms: int) -> float:
    return (at_ms - T0_MS) / 1000


@pytest.mark.parametrize(("has_markers", "within_s"), [(True, 320), (False, 140)])
def test_an_instance_that_goes_is_one_absence_until_it_is_back(has_markers, within_s):
    world = fleet()
    target = of_job(world, "api")[1]
    world.remove(target, markers=has_markers)
    world.run(within_s)
    anomaly = the_one(world)
    assert dict(anomaly.labels) == {"job": "api", "instance": "api-1"}
    assert anomaly.kind is AnomalyKind.ABSENCE and anomaly.absence is not None
    assert anomaly.absence.reason.value == ("ended" if has_markers else "silent")
    assert (anomaly.absence.n_absent, anomaly.absence.n_series) == (11, 11)
    assert abs(at_s(anomaly.onset_ms) - START_S) <= 15
    world.run(1000)
    world.revive(target)
    world.run(60)
    ended = the_one(world)
    assert ended.absence is not None and ended.absence.ended_by.value == "returned"
    assert abs(at_s(ended.end_ms) - (START_S + within_s + 1000)) <= 10


def test_a_target_that_dies_is_absent_though_its_scraper_still_says_so():
    world = fleet()
    world.die(of_job(world, "web")[0])
    world.run(330)
    anomaly = the_one(world)
    assert dict(anomaly.labels) == {"job": "web", "instance": "web-0"}
    assert anomaly.absence is not None
    assert (anomaly.absence.n_absent, anomaly.absence.n_series) == (10, 11)


def test_a_target_that_dies_is_absent_in_a_fleet_that_scales_daily():
    world = fleet()
    for n in range(3):
        world.add(Target("web", f"web-extra-{n}"))
        world.run(HOUR_S)
    world.die(of_job(world, "web")[0])
    world.run(330)
    assert opened(world) == [("ended", {"job": "web", "instance": "web-0"})]


@pytest.mark.parametrize("way", ["silent", "markers", "scraper lives"])
def test_a_job_that_dies_is_one_absence(way):
    world = fleet()
    for target in of_job(world, "api"):
        if way == "scraper lives":
            world.die(target)
        else:
            world.remove(target, markers=way == "markers")
    world.run(340)
    reason = "silent" if way == "silent" else "ended"
    assert opened(world) == [(reason, {"job": "api"})]


def test_a_job_of_one_instance_is_told_by_both_names():
    world = fleet()
    world.remove(of_job(world, "alone")[0], markers=False)
    world.run(400)
    assert opened(world) == [("silent", {"job": "alone", "instance": "alone-0"})]


def test_a_source_that_dies_is_one_absence_and_critical():
    world = fleet()
    targets = world.targets[:]
    world.targets.clear()
    world.run(140)
    anomaly = the_one(world)
    assert anomaly.labels == ()
    assert anomaly.score >= 12.0  # what the correlator calls critical
    world.run(2 * HOUR_S)
    world.targets += targets
    world.run(HOUR_S)
    assert [event.change for event in of_change(world, AnomalyChange.CLOSED)] == ["closed"]
    assert world.open() == []


def test_a_source_of_which_little_is_left_is_one_absence():
    world = fleet()
    for job in ("api", "db", "web"):
        for target in of_job(world, job):
            world.remove(target, markers=False)
    world.run(300)
    assert opened(world) == [("silent", {})]


def test_data_that_comes_ten_minutes_late_is_late_and_no_longer_absent():
    world = fleet()
    world.cut()
    world.run(600)
    assert opened(world) == [("silent", {})]
    world.mend()
    world.run(60)
    changes = [event.change for event in of_change(world, AnomalyChange.OPENED)]
    assert changes == ["opened", "opened"]  # the same one, told anew
    anomaly = the_one(world)
    assert anomaly.absence is not None
    assert (anomaly.absence.reason.value, anomaly.absence.ended_by.value) == ("late", "caught_up")


def test_a_job_whose_rows_come_ever_later_is_late():
    world = fleet()
    for target in of_job(world, "db"):
        target.skew_s = 0.0

    def every(now_s: float) -> None:
        for target in of_job(world, "db"):
            target.skew_s -= 2.5  # half the speed of time

    world.run(HOUR_S / 6, every)
    assert opened(world) == [("late", {"job": "db"})]


def test_a_sender_whose_clock_jumps_back_is_late_and_not_silent():
    world = fleet()
    of_job(world, "db")[2].skew_s = -1800
    world.run(300)
    assert opened(world) == [("late", {"job": "db", "instance": "db-2"})]


def test_one_metric_that_disappears_is_an_absence_of_its_own():
    world = fleet()
    world.missing.add(of_job(world, "db")[0].fingerprints[3])
    world.run(160)
    anomaly = the_one(world)
    labels = {"__name__": "metric_3", "job": "db", "instance": "db-0"}
    assert opened(world) == [("silent", labels)]
    assert anomaly.fingerprint == of_job(world, "db")[0].fingerprints[3]
    assert (anomaly.expected, anomaly.upper) == (15.0, 120.0)
    world.run(HOUR_S)
    world.missing.clear()
    world.run(30)
    assert at_s(the_one(world).end_ms) == pytest.approx(START_S + 160 + HOUR_S, abs=16)


def test_many_metrics_that_disappear_are_one_partial_absence():
    world = fleet()
    gone = of_job(world, "db")[0].fingerprints[:6]
    world.missing |= set(gone)
    world.run(200)
    assert opened(world) == [("partial", {"job": "db", "instance": "db-0"})]
    world.missing.clear()
    world.run(30)
    assert world.open() == []


def test_a_metric_that_ends_by_a_marker_while_others_live_is_ordinary():
    world = fleet()
    target = of_job(world, "db")[0]
    world.end(target, target.fingerprints[:2])
    world.missing |= set(target.fingerprints[:2])
    world.run(2 * HOUR_S)
    assert opened(world) == []


def test_a_deviation_ends_with_its_last_sample_when_its_series_falls_silent():
    world = fleet(alarm_score=6.0)
    target = of_job(world, "db")[0]
    world.level[target.fingerprints[3]] = 500.0
    world.run(120)
    (deviation,) = [e.anomaly for e in world.events if e.anomaly.kind is AnomalyKind.DEVIATION]
    world.remove(target, markers=False)
    world.run(160)
    told = [(e.anomaly.kind.value, e.change.value) for e in world.events[-2:]]
    assert sorted(told) == [("absence", "opened"), ("deviation", "closed")]
    closed = next(e.anomaly for e in world.events if e.change is AnomalyChange.CLOSED)
    assert closed.anomaly_id == deviation.anomaly_id
    assert at_s(closed.end_ms) == pytest.approx(START_S + 120, abs=15)


def test_an_absence_is_closed_when_its_series_are_forgotten():
    world = fleet()
    world.remove(of_job(world, "db")[0], markers=False)
    world.run(7 * HOUR_S)
    world.evict_idle()
    anomaly = the_one(world)
    assert anomaly.absence is not None and anomaly.absence.ended_by.value == "forgotten"


def test_a_silence_that_a_restart_interrupts_is_told_once_and_ends():
    world = fleet()
    target = of_job(world, "db")[0]
    world.remove(target, markers=False)
    world.run(200)
    world.restart(60)
    world.run(200)
    world.revive(target)
    world.run(60)
    anomaly = the_one(world)
    assert anomaly.absence is not None and anomaly.absence.ended_by.value == "returned"


def test_a_source_that_does_not_come_back_after_our_restart_is_told():
    world = fleet()
    world.restart(600)
    world.targets.clear()
    world.run(200)
    assert opened(world) == [("silent", {})]


def test_a_batch_job_becomes_a_habit():
    world = fleet()
    batch = world.add(Target("batch", "b", n_series=4))
    world.run(900)
    for _ in range(8):
        world.remove(batch, markers=True)
        world.run(2700)
        world.revive(batch)
        world.run(900)
    assert opened(world) == [("ended", {"job": "batch", "instance": "b"})] * 3
