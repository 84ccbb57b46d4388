"""The tree of groups: who belongs where, and what is left when members go."""

from aiops.detect.absence_groups import FREE, ROOT, SETTLED_MS, AbsenceGroups
from aiops.domain.labels import Labels, labels_from

T0_MS = 1_700_000_000_000


def of(job: str = "", instance: str = "", name: str = "m") -> Labels:
    return labels_from({"__name__": name, "job": job, "instance": instance})


def tree() -> AbsenceGroups:
    return AbsenceGroups(("job", "instance"))


def test_a_series_joins_the_smallest_group_its_labels_reach():
    groups = tree()
    leaf = groups.join(of("a", "1"), T0_MS)
    job = int(groups.parents[leaf])
    assert int(groups.parents[job]) == ROOT
    assert groups.join(of("a"), T0_MS) == job
    assert groups.join(of("", "1"), T0_MS) == ROOT
    assert groups.join(of("a", "1", "n"), T0_MS) == leaf


def test_equal_instances_of_two_jobs_are_two_groups():
    groups = tree()
    assert groups.join(of("a", "1"), T0_MS) != groups.join(of("b", "1"), T0_MS)


def test_a_group_ends_with_its_last_member_and_its_row_is_used_again():
    groups = tree()
    leaf = groups.join(of("a", "1"), T0_MS)
    groups.join(of("a", "1", "n"), T0_MS)
    job = int(groups.parents[leaf])
    assert groups.leave([leaf]) == []
    assert groups.leave([leaf]) == [leaf, job]
    assert groups.parents[leaf] == groups.parents[job] == FREE
    groups.join(of("b", "2"), T0_MS)
    assert groups.n_rows == 3


def test_a_group_with_one_smaller_group_is_told_by_that():
    groups = tree()
    leaf = groups.join(of("a", "1"), T0_MS)
    assert dict(groups.labels(ROOT)) == {"job": "a", "instance": "1"}
    other = groups.join(of("a", "2"), T0_MS)
    assert dict(groups.labels(ROOT)) == {"job": "a"}
    groups.join(of("b", "1"), T0_MS)
    assert groups.labels(ROOT) == ()
    assert dict(groups.labels(leaf)) == {"job": "a", "instance": "1"}
    assert dict(groups.labels(other)) == {"job": "a", "instance": "2"}


def test_only_groups_that_join_later_are_arrivals():
    groups = tree()
    job = int(groups.parents[groups.join(of("a", "1"), T0_MS)])
    groups.join(of("a", "2"), T0_MS + SETTLED_MS)
    assert groups.arrivals[job] == 0
    groups.join(of("a", "3"), T0_MS + SETTLED_MS + 1)
    assert groups.arrivals[job] == 1
    assert groups.newborn_ms[job] == T0_MS + SETTLED_MS + 1


def test_habits_fade_by_half_a_week_long():
    groups = tree()
    groups.arrivals[ROOT] = groups.returns[ROOT] = 4.0
    groups.fade(7 * 86_400_000)
    assert (groups.arrivals[ROOT], groups.returns[ROOT]) == (2.0, 2.0)


def test_what_lies_below_a_group_is_all_of_its_branch():
    groups = tree()
    leaf = groups.join(of("a", "1"), T0_MS)
    other = groups.join(of("b", "1"), T0_MS)
    job = int(groups.parents[leaf])
    marks = groups.reasons[: groups.n_rows] > 0
    marks[job] = True
    below = groups.below(marks, itself=False)
    assert below[leaf] and not below[[job, other, ROOT]].any()
    marks[ROOT] = True
    assert groups.below(marks, itself=True).all()


def test_fingerprints_differ_by_path_and_not_by_process():
    groups = tree()
    leaf = groups.join(of("a", "1"), T0_MS)
    job = int(groups.parents[leaf])
    assert len({groups.fingerprint(g) for g in (ROOT, job, leaf)}) == 3
    again = tree()
    again.join(of("z", "9"), T0_MS)
    assert again.fingerprint(again.join(of("a", "1"), T0_MS)) == groups.fingerprint(leaf)


def test_a_saved_tree_has_the_same_members_and_rows():
    groups = tree()
    series = [of("a", "1"), of("a", "2"), of("b"), of(), of("a", "1", "n")]
    members = [(groups.join(labels, T0_MS), labels) for labels in series]
    gone = groups.join(of("c", "3"), T0_MS)
    groups.leave([gone])
    again = tree()
    again.restore({k: v.copy() for k, v in groups.state().items()}, members)
    n = groups.n_rows
    assert again.n_members[:n].tolist() == groups.n_members[:n].tolist()
    assert [again.join(labels, T0_MS + 1) for labels in series] == [group for group, _ in members]
    assert again.join(of("d", "4"), T0_MS + 1) == groups.join(of("d", "4"), T0_MS + 1)
