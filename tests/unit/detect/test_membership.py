"""Keys and slots of groups: stable, bounded, reused."""

from aiops.detect.membership import GroupSlots, fingerprint_of, key_of, picked
from aiops.domain.labels import labels_from

LABELS = labels_from({"__name__": "up", "job": "node", "instance": "a:9100"})


def key(number):
    return key_of(labels_from({"job": str(number)}))


def test_the_same_group_keeps_its_slot():
    slots = GroupSlots(10)
    assert [slots.find(key(n)) for n in (1, 2, 1)] == [0, 1, 0]


def test_a_freed_slot_is_given_again():
    slots = GroupSlots(10)
    for number in range(3):
        slots.find(key(number))
    slots.drop(1)
    assert slots.find(key(7)) == 1
    assert (len(slots), slots.n_slots) == (3, 3)


def test_groups_beyond_the_bound_are_refused_and_counted():
    slots = GroupSlots(1)
    slots.find(key(1))
    assert slots.find(key(2)) == -1
    assert slots.refused_total == 1
    assert slots.find(key(1)) == 0


def test_saved_slots_come_back_with_the_order_of_free_ones():
    slots = GroupSlots(10)
    for number in range(5):
        slots.find(key(number))
    slots.drop(3)
    slots.drop(1)
    other = GroupSlots(10)
    other.restore(*slots.saved())
    assert other.saved() == slots.saved()
    assert [other.find(key(n)) for n in (0, 8, 9, 10)] == [0, 1, 3, 5]


def test_label_sets_that_run_together_alike_have_different_keys():
    pairs = [{"a": "bc"}, {"ab": "c"}, {"a": "b", "c": "d"}, {"a": "b\x00c"}]
    assert len({key_of(labels_from(each)) for each in pairs}) == len(pairs)
    assert len({fingerprint_of(labels_from(each)) for each in pairs}) == len(pairs)


def test_a_fingerprint_is_the_same_on_every_machine():
    assert fingerprint_of((("job", "node"),)) == 0x8E89581D4C17B9F


def test_labels_are_picked_sorted_and_only_all_together():
    assert picked(LABELS, ("job", "instance")) == (("instance", "a:9100"), ("job", "node"))
    assert picked(LABELS, ("job", "zone")) == ()
