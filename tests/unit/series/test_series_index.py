"""The inverted index against a plain list of label sets."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from aiops.domain.labels import Labels, labels_from
from aiops.domain.matchers import Matcher, MatchOp, match_all
from aiops.series.index import SeriesIndex
from aiops.wire.labels import encode_labels

NAMES = ["__name__", "job", "pod"]
label_sets = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(["a", "b", "ab", "é" * 90]))
matchers = st.builds(
    Matcher,
    st.sampled_from([*NAMES, "none"]),
    st.sampled_from(list(MatchOp)),
    st.sampled_from(["", "a", "a.*", "b|ab", ".+"]),
)


def filled(sets: list[Labels]) -> SeriesIndex:
    index = SeriesIndex()
    for slot, labels in enumerate(sets):
        index.add(slot, encode_labels(labels))
    return index


@given(
    st.lists(label_sets, max_size=12), st.lists(matchers, max_size=3), st.sets(st.integers(0, 11))
)
@settings(max_examples=300, derandomize=True)
def test_select_equals_a_scan_of_all_label_sets(pairs, conditions, removed):
    sets = [labels_from(pair) for pair in pairs]
    index = filled(sets)
    gone = np.array(sorted(slot for slot in removed if slot < len(sets)), np.int32)
    index.remove(gone)
    expected = [
        slot
        for slot, labels in enumerate(sets)
        if slot not in gone and match_all(tuple(conditions), labels)
    ]
    assert index.select((tuple(conditions),)).tolist() == expected
    live = [labels for slot, labels in enumerate(sets) if slot not in gone]
    assert index.names(None) == sorted({name for labels in live for name, _ in labels})
    for name in NAMES:
        assert index.values(name, None) == sorted(
            {v for labels in live for k, v in labels if k == name}
        )


def test_labels_and_block_come_back_as_entered():
    labels = labels_from({"__name__": "up", "job": "node", "long": "x" * 3000})
    index = filled([labels])
    assert index.labels(0) == labels
    assert index.block(0) == encode_labels(labels)
    assert index.value(0, "job") == "node"
    assert index.value(0, "absent") == ""


def test_a_reused_slot_shows_nothing_of_its_former_series():
    index = filled([labels_from({"__name__": "old", "pod": "p1"})])
    index.remove(np.array([0], np.int32))
    index.add(0, encode_labels(labels_from({"__name__": "new"})))
    assert index.values("__name__", None) == ["new"]
    assert index.names(None) == ["__name__"]
    assert index.with_pair("pod", "p1") == []


def test_churn_does_not_let_the_interned_pairs_grow():
    index = SeriesIndex()
    for generation in range(500):
        index.add(0, encode_labels(labels_from({"__name__": "m", "pod": f"p{generation}"})))
        index.remove(np.array([0], np.int32))
    assert len(index._pairs) <= 2
