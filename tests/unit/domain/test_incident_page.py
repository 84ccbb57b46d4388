"""The page on incidents as JSON names all that there is."""

from dataclasses import fields

import pytest

from aiops.domain.anomaly import Anomaly, AnomalyKind
from aiops.domain.incident import Incident
from aiops.domain.quality import QualityFlag, VetoReason
from tests.source_tree import ROOT

TEXT = (ROOT / "config/INCIDENTS.md").read_text()
NAMES = [field.name for record in (Incident, Anomaly) for field in fields(record)]
NAMES += ["p_value", *QualityFlag, *VetoReason, *AnomalyKind]


@pytest.mark.parametrize("name", sorted({str(name) for name in NAMES}))
def test_every_field_flag_and_reason_is_on_the_page(name):
    assert f"`{name}`" in TEXT
