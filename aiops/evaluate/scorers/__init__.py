"""How good are scores, given labels? The measures the field trusts, in numpy.

In go scores (high = unusual) and labels of the same rows; out come frozen records of figures.
Point-adjusted F1 is left out on purpose: random scores do well at it (arXiv 2109.05257).
"""

from aiops.evaluate.scorers.calibration import AlarmRatios, AlarmTally, tally_alarms
from aiops.evaluate.scorers.kpi import KpiScore, event_f1, row_f1
from aiops.evaluate.scorers.nab import NabFile, NabScore, nab_score
from aiops.evaluate.scorers.vus import vus_pr

__all__ = [
    "AlarmRatios",
    "AlarmTally",
    "KpiScore",
    "NabFile",
    "NabScore",
    "event_f1",
    "nab_score",
    "row_f1",
    "tally_alarms",
    "vus_pr",
]
