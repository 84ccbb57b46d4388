import random

from aiops.correlate.evidence import OPEN_FACTOR, Evidence
from aiops.correlate.timeline import HEAD_LINES, TAIL_LINES, Timeline
from aiops.domain.incident import IncidentEventKind, TimelineEvent


def evidence(members_max: int) -> Evidence[float]:
    return Evidence(members_max=members_max, keep=float)


def put(kept: Evidence[float], member_id: str, worth: float, *, is_open: bool = True) -> list[str]:
    return kept.put(member_id, worth, source=member_id, is_open=is_open)


def naive_keep(worths: list[float], members_max: int) -> list[float]:
    kept: list[float] = []
    for worth in worths:
        kept.append(worth)
        if len(kept) > members_max:
            weakest = min(kept)
            if kept[-1] == weakest:
                kept.pop()
            else:
                kept.remove(weakest)
    return kept


def test_the_strongest_stay_as_the_plainest_way_of_choosing_has_it():
    seed = 20_261_124
    source = random.Random(seed)
    for _ in range(200):
        worths = [float(source.randrange(6)) for _ in range(30)]
        subject = evidence(4)
        for i, worth in enumerate(worths):
            put(subject, f"m{i}", worth)
        assert list(subject.kept.values()) == naive_keep(worths, 4), (seed, worths)
        assert subject.n_ever() == 30


def test_a_member_that_grew_stronger_is_no_longer_the_weakest():
    subject = evidence(2)
    put(subject, "a", 1.0)
    put(subject, "b", 2.0)
    put(subject, "a", 9.0)
    put(subject, "c", 3.0)
    assert subject.kept == {"a": 9.0, "c": 3.0}


def test_an_ended_member_that_is_shed_leaves_and_one_that_fires_is_remembered():
    subject = evidence(1)
    put(subject, "a", 1.0)
    put(subject, "a", 1.0, is_open=False)
    assert put(subject, "b", 2.0) == ["a"]
    assert put(subject, "c", 3.0) == []
    assert subject.open == {"b": "b", "c": "c"}
    assert put(subject, "b", 2.0, is_open=False) == ["b"]


def test_a_shed_member_that_comes_back_is_not_counted_twice():
    subject = evidence(1)
    put(subject, "a", 2.0)
    put(subject, "b", 1.0)
    put(subject, "b", 1.0)
    assert (subject.dropped, subject.n_ever()) == (1, 2)
    put(subject, "b", 5.0)
    assert subject.kept == {"b": 5.0}
    assert (subject.dropped, subject.n_ever()) == (1, 2)


def test_ids_of_shed_members_are_bounded_too():
    subject = evidence(1)
    left = [put(subject, f"m{i}", 1.0) for i in range(OPEN_FACTOR + 5)]
    assert len(subject.open) == OPEN_FACTOR
    assert left[OPEN_FACTOR:] == [[f"m{i}"] for i in range(OPEN_FACTOR, OPEN_FACTOR + 5)]


def test_restoring_with_a_lower_bound_sheds_the_weakest():
    subject = evidence(2)
    subject.restore([("a", 3.0), ("b", 1.0), ("c", 2.0)], open_ids={}, dropped=4)
    assert subject.kept == {"a": 3.0, "c": 2.0}
    assert subject.dropped == 5


def test_a_restored_time_line_goes_on_like_the_one_it_was_made_of():
    plain, restored = Timeline(), Timeline()
    for i in range(2 * (HEAD_LINES + TAIL_LINES)):
        event = TimelineEvent(i, IncidentEventKind.ACTION, f"line {i}")
        plain.add(event)
        restored = Timeline.restored(restored.lines(), restored.n_cut)
        restored.add(event)
        assert restored.lines() == plain.lines()
    assert plain.n_cut == HEAD_LINES + TAIL_LINES
