"""Which anomalies the data explains, and when that ends."""

from dataclasses import replace

import numpy as np
import pytest

from aiops.detect.parts import own_flags, parts_of, season_of, window_flags
from aiops.detect.veto import RELEASE_ROWS, Vetoes, veto_of
from aiops.domain.anomaly import Anomaly, AnomalyChange, AnomalyEvent
from aiops.domain.quality import QualityFlag, VetoReason, flag_bit

T0_MS = 1_700_000_000_000
RESET = flag_bit(QualityFlag.RESET)
GAP = flag_bit(QualityFlag.GAP)
LATE = flag_bit(QualityFlag.LATE)
BACKFILL = flag_bit(QualityFlag.BACKFILL)
INSIDE, OUTSIDE = 10.0, 99.0


def anomaly(**changes) -> Anomaly:
    """A spike whose only row is its onset and its peak."""
    fields = {"anomaly_id": "a", "fingerprint": 1, "labels": (), "detector": "d"}
    fields |= {"onset_ms": T0_MS, "peak_ms": T0_MS, "end_ms": 0, "score": 8.0, "value": 99.0}
    fields |= {"expected": 10.0, "lower": 5.0, "upper": 15.0, "quality": ("reset",)}
    return Anomaly(**(fields | changes))


def opened(vetoes: Vetoes, flags: int = RESET, slot: int = 3, **changes) -> Anomaly:
    event = AnomalyEvent(AnomalyChange.OPENED, anomaly(**changes))
    return vetoes.judge(event, slot, flags, is_counter=True)


def closed(vetoes: Vetoes, slot: int = 3, **changes) -> Anomaly:
    event = AnomalyEvent(AnomalyChange.CLOSED, anomaly(end_ms=T0_MS + 90_000, **changes))
    return vetoes.judge(event, slot, 0, is_counter=True)


def rows(vetoes: Vetoes, values, *, slot: int = 3, flags: int = 0, start_ms: int = T0_MS + 1):
    n = len(values)
    return vetoes.release(
        np.full(n, slot, np.int32),
        start_ms + np.arange(n),
        np.array(values),
        np.full(n, flags << 48, np.uint64),
    )


@pytest.mark.parametrize(
    ("flags", "is_counter", "began_ms", "reason"),
    [
        (RESET, True, T0_MS, VetoReason.COUNTER_RESET),
        (GAP, True, T0_MS, VetoReason.RATE_OVER_GAP),
        (RESET | GAP, True, T0_MS, VetoReason.COUNTER_RESET),
        (BACKFILL | LATE, False, T0_MS - 60_000, VetoReason.BACKFILL),
        (0, True, T0_MS, None),
        (RESET, True, T0_MS - 15_000, None),  # something was wrong before the restart
        (GAP, True, T0_MS - 15_000, None),
        (GAP, False, T0_MS, None),  # a value is as true after a gap as ever
        (LATE, True, T0_MS, None),  # a pipeline that lags may be part of the trouble
        (255 & ~(RESET | GAP | BACKFILL), True, T0_MS, None),
    ],
)
def test_the_table_of_vetoes(flags, is_counter, began_ms, reason):
    assert veto_of(anomaly(onset_ms=began_ms), flags, is_counter=is_counter) is reason


def test_an_anomaly_without_a_band_is_never_vetoed():
    nowhere = anomaly(expected=np.nan, lower=np.nan, upper=np.nan)
    assert veto_of(nowhere, RESET, is_counter=True) is None


def test_a_veto_holds_to_the_end_and_is_counted_once_by_its_reason():
    vetoes = Vetoes()
    assert opened(vetoes).veto_reason == "counter_reset"
    assert rows(vetoes, [INSIDE] * 50) == []
    end = closed(vetoes)
    assert (end.is_vetoed, end.veto_reason) == (True, "counter_reset")
    assert vetoes.totals[VetoReason.COUNTER_RESET] == sum(vetoes.totals.values()) == 1
    assert vetoes.held_now == 0


def test_an_anomaly_that_lasts_beyond_its_veto_opens_after_all_once():
    vetoes = Vetoes()
    held = opened(vetoes)
    assert rows(vetoes, [OUTSIDE] * (RELEASE_ROWS - 1)) == []
    (event,) = rows(vetoes, [-OUTSIDE])  # on the other side, and as wrong
    assert event.change is AnomalyChange.OPENED
    assert event.anomaly == replace(held, is_vetoed=False, veto_reason="")
    assert rows(vetoes, [OUTSIDE] * 5) == []
    assert not closed(vetoes).is_vetoed
    assert vetoes.released_total == 1


@pytest.mark.parametrize(
    ("values", "options"),
    [
        ([OUTSIDE] * 5, {"flags": BACKFILL}),
        ([OUTSIDE] * 5, {"flags": RESET}),
        ([OUTSIDE] * 5, {"flags": GAP}),
        ([OUTSIDE] * 5, {"slot": 4}),
        ([OUTSIDE] * 5, {"start_ms": T0_MS - 4}),
        ([np.nan] * 5, {}),
        ([5.0, 15.0] * 5, {}),
    ],
)
def test_only_sound_later_rows_of_the_series_outside_the_band_release(values, options):
    vetoes = Vetoes()
    opened(vetoes)
    assert rows(vetoes, values, **options) == []


def test_late_live_rows_release_too_so_that_a_lagging_pipeline_hides_nothing():
    vetoes = Vetoes()
    opened(vetoes, BACKFILL)
    assert len(rows(vetoes, [OUTSIDE] * 2, flags=LATE)) == 1


def test_a_gap_before_a_row_of_a_gauge_does_not_make_it_unsound():
    vetoes = Vetoes()
    event = AnomalyEvent(AnomalyChange.OPENED, anomaly())
    assert vetoes.judge(event, 3, BACKFILL, is_counter=False).is_vetoed
    assert len(rows(vetoes, [OUTSIDE] * 2, flags=GAP)) == 1


def test_a_closed_anomaly_keeps_the_flags_it_opened_with():
    vetoes = Vetoes()
    opened(vetoes, 0, quality=("gap", "partial"))
    assert closed(vetoes, quality=("gap", "late")).quality == ("gap", "partial", "late")
    assert closed(vetoes, quality=()).quality == ()


def test_anomalies_of_two_detectors_on_one_series_are_held_each_for_itself():
    vetoes = Vetoes()
    opened(vetoes)
    opened(vetoes, 0, detector="other")
    assert vetoes.held_now == 1
    assert not closed(vetoes, detector="other").is_vetoed
    assert closed(vetoes).is_vetoed


def test_restored_vetoes_go_on_as_if_they_had_never_been_saved():
    vetoes, restored = Vetoes(), Vetoes()
    held = opened(vetoes)
    opened(vetoes, 0, slot=4, quality=("gap",))
    assert rows(vetoes, [OUTSIDE]) == []
    restored.restore(vetoes.state())
    assert restored.state()["quality.open"].tobytes() == vetoes.state()["quality.open"].tobytes()
    assert closed(restored, slot=4, quality=()).quality == ("gap",)
    (event,) = rows(restored, [OUTSIDE])
    assert event.anomaly.anomaly_id == held.anomaly_id


def test_a_snapshot_of_a_release_without_vetoes_holds_nothing():
    vetoes = Vetoes()
    vetoes.restore({})
    assert vetoes.held_now == 0


def packed(*scores: float, season: int = 0, own: int = 0, window: int = 0) -> int:
    data = [min(255, round(16 * score)) for score in scores] + [0] * (5 - len(scores))
    return int.from_bytes(bytes([*data, season, own, window]), "little")


def test_streams_that_said_something_are_told_strongest_first():
    word = packed(2.0, 7.9375, 0.9, 1.0, 99.0, season=2)
    told = (("novelty", 15.9375), ("shift", 7.9375), ("residual", 2.0), ("level", 1.0))
    assert parts_of(word) == told


@pytest.mark.parametrize(("number", "season"), [(0, ""), (1, "day"), (2, "week"), (3, "")])
def test_the_season_is_read_from_its_byte(number, season):
    assert season_of(packed(season=number)) == season


@pytest.mark.parametrize("is_signed", [False, True])
def test_flags_are_read_from_their_bytes_also_when_the_word_was_read_as_signed(is_signed):
    word = packed(1.0, own=RESET, window=255)
    word -= (1 << 64) if is_signed else 0
    assert (own_flags(word), window_flags(word)) == (RESET, 255)
    assert parts_of(word) == (("residual", 1.0),)
