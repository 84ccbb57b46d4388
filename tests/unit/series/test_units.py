"""Units from metadata and names."""

import pytest

from aiops.domain.samples import MetricMetadata
from aiops.series.table import SeriesTable
from aiops.series.units import unit_of
from aiops.wire.labels import encode_labels


@pytest.mark.parametrize(
    ("name", "told", "is_rate", "unit"),
    [
        ("queue_length", "", False, ""),
        ("request_duration_seconds", "", False, "s"),
        ("http_requests_total", "", True, "/s"),
        ("node_network_receive_bytes_total", "", True, "B/s"),
        ("process_cpu_seconds_total", "", True, "s/s"),
        ("request_duration_seconds_sum", "", True, "s/s"),
        ("request_duration_seconds_count", "", True, "/s"),
        ("request_duration_seconds_bucket", "seconds", True, "/s"),
        ("heat", "celsius", False, "°C"),
        ("wait", "parsecs", False, "parsecs"),
    ],
)
def test_the_unit_follows_from_metadata_first_and_then_from_the_name(name, told, is_rate, unit):
    assert unit_of(name, told, is_rate=is_rate) == unit


def test_a_series_has_the_unit_of_its_family():
    table = SeriesTable()
    names = ("wait_total", "heat")
    blocks = [encode_labels((("__name__", name),)) for name in names]
    table.add([1, 2], blocks, 0)
    assert [table.unit(slot) for slot in (0, 1)] == ["/s", ""]
    table.learn_metadata(
        [MetricMetadata("wait", "counter", "", "seconds"), MetricMetadata("heat", "gauge", "", "K")]
    )
    assert [table.unit(slot) for slot in (0, 1)] == ["s/s", "K"]
