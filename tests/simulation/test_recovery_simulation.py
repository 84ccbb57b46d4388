"""A core that was saved and restored anywhere equals one that never stopped, to the bit."""

from pathlib import Path

import numpy as np
import pytest

from aiops.domain.effects import IncidentEffect
from aiops.domain.incident import IncidentState
from aiops.domain.records import Record
from aiops.journal.codec import decode_record, encode_record
from aiops.lifecycle.snapshot import publish_snapshot, read_newest, write_snapshot
from aiops.pipeline import Applied, Core
from aiops.store.head import SealedBlock
from tests.simulation.workload import Workload, small_config, small_core

N_RECORDS = 600


def said(applied: Applied) -> tuple[list[IncidentEffect], list[object]]:
    """Return what a record asked for; its text compares bit by bit, NaN included."""
    return list(applied.effects), [block_bytes(block) for block in applied.sealed]


def block_bytes(block: SealedBlock) -> tuple[object, ...]:
    sealed = block.sealed
    arrays = (sealed.meta, sealed.rows, block.fingerprints, block.kinds)
    return sealed.key, *(array.tobytes() for array in arrays), block.labels


def assert_same_state(core: Core, other: Core) -> None:
    (arrays, facts), (others, other_facts) = core.state(), other.state()
    assert facts == other_facts
    assert arrays.keys() == others.keys()
    for name, array in arrays.items():
        assert array.dtype == others[name].dtype
        assert array.tobytes() == others[name].tobytes(), name


def uninterrupted(workload: Workload, n_records: int, core: Core):
    """Apply a workload; return its records and what each asked for."""
    records, outputs = [], []
    for record in workload.records(n_records):
        # As it comes out of the journal, on which replay depends.
        kept = decode_record(record.seq, encode_record(record.body, accepted_ms=record.accepted_ms))
        applied = core.apply(kept)
        workload.heard([effect.incident.incident_id for effect in applied.effects])
        records.append(kept)
        outputs.append(said(applied))
    return records, outputs


def restarted(core: Core, directory: Path, fresh: Core) -> Core:
    """Return a fresh core that took over a snapshot of `core` from disk."""
    arrays, facts = core.state()
    publish_snapshot(write_snapshot(directory, core.applied_seq, arrays, facts))
    found = read_newest(directory)
    assert found is not None
    fresh.restore(*found)
    return fresh


def interrupted(records: list[Record], cuts: list[int], directory: Path, make) -> tuple[Core, list]:
    """Apply records with a stop at every cut; return the last core and what each record asked."""
    core, outputs, done = make(), [], 0
    for cut in [*cuts, len(records)]:
        outputs += [said(core.apply(record)) for record in records[done:cut]]
        done = cut
        core = restarted(core, directory, make())
    return core, outputs


@pytest.mark.parametrize("seed", range(6))
def test_stops_anywhere_change_neither_state_nor_effects_nor_rows(seed, tmp_path):
    config = small_config()
    whole = small_core(config)
    records, outputs = uninterrupted(Workload(seed), N_RECORDS, whole)
    rng = np.random.default_rng(1000 + seed)
    cuts = np.sort(rng.choice(np.arange(1, N_RECORDS), 5, replace=False)).tolist()
    core, again = interrupted(records, cuts, tmp_path, lambda: small_core(config))
    for seq, (one, other) in enumerate(zip(outputs, again, strict=True), 1):
        assert repr(one) == repr(other), f"record {seq} asked for something else, cuts {cuts}"
    assert_same_state(whole, core)


def test_the_workload_meets_what_it_is_for(tmp_path):
    config = small_config()
    core = small_core(config)
    records, outputs = uninterrupted(Workload(4), N_RECORDS, core)
    effects = [effect for told, _ in outputs for effect in told]
    assert len({effect.incident.incident_id for effect in effects}) > 3
    assert any(effect.incident.state is IncidentState.RESOLVED for effect in effects)
    assert any(effect.notifications for effect in effects)
    assert any(effect.actions for effect in effects)
    assert any(effect.incident.anomalies for effect in effects)
    assert sum(len(blocks) for _, blocks in outputs) > 50
    assert core.data.forgotten_ms > 0
    assert core.data.episodes.shed_total > 0
    cart, checkout, *_ = core.data.rules.counts()
    assert min(cart.n_invalid, cart.n_sifted, checkout.n_sifted, checkout.n_beyond) > 0
    assert core.correlator.overflow_signals > 0
    assert len({type(record.body) for record in records}) == 7
    assert (core.data.counts > 0).all()


def test_a_stop_after_every_record_changes_nothing(tmp_path):
    config = small_config()
    whole = small_core(config)
    records, outputs = uninterrupted(Workload(21, n_series=8), 60, whole)
    core, again = interrupted(records, list(range(1, 60)), tmp_path, lambda: small_core(config))
    assert repr(outputs) == repr(again)
    assert_same_state(whole, core)


def test_arrays_that_grew_little_by_little_equal_those_made_at_once(tmp_path):
    roomy, tight = small_config(), small_config(series_max=40)
    whole = small_core(roomy)
    records, outputs = uninterrupted(Workload(5, n_series=200), 100, whole)
    core, again = interrupted(records, [30, 60, 61], tmp_path, lambda: small_core(tight))
    assert whole.data.table.capacity > core.data.table.capacity > 40
    assert repr(outputs) == repr(again)
    assert_same_state(whole, core)
