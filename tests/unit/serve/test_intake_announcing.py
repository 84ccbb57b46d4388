"""Whoever is kept first announces: a sample kept is never of a series nobody announced."""

import numpy as np

from aiops.clock import ManualClock
from aiops.config import LimitsConfig
from aiops.domain.labels import labels_from
from aiops.domain.samples import SampleBatch
from aiops.evaluate.remote_write_encode import encode_write_request
from aiops.serve.intake import Intake
from aiops.wire.labels import encode_labels
from aiops.wire.remote_write import RemoteWriteDecoder

SECRETS = np.array([11, 22, 33, 44], np.uint64)
BLOCK = encode_labels(labels_from({"__name__": "up", "job": "node"}))


def offered(intake: Intake, ts_ms: int) -> SampleBatch:
    series = [(BLOCK, np.array([ts_ms], np.int64), np.array([1.0]))]
    body = np.frombuffer(encode_write_request(series), np.uint8)
    (part,) = RemoteWriteDecoder(SECRETS).slices(body, future_ms=10**15)
    return intake.accept(body, part).batch


def fresh() -> Intake:
    return Intake(LimitsConfig(), SECRETS, ManualClock())


def test_a_batch_behind_one_not_yet_durable_announces_the_series_too():
    intake = fresh()
    first = offered(intake, 1000)
    second = offered(intake, 2000)
    intake.withdraw(first)  # its commit failed
    intake.confirm(second)  # the next one did not
    assert first.new_blocks == second.new_blocks == (BLOCK,)
    assert second.new_fingerprints == first.new_fingerprints


def test_a_series_is_announced_no_more_once_it_is_durable():
    intake = fresh()
    intake.confirm(offered(intake, 1000))
    assert offered(intake, 2000).new_blocks == ()


def test_a_series_whose_batch_failed_is_announced_again():
    intake = fresh()
    intake.withdraw(offered(intake, 1000))
    assert offered(intake, 2000).new_blocks == (BLOCK,)
