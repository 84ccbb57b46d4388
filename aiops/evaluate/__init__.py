"""Worlds with a known truth, labelled public sets, and what a detector is worth on them.

For notebooks and other programs: `score_array` and `score_matrix` give the scores of whole arrays
by the very detector the service runs. The rest simulates fleets with faults in them, pushes them
as a Prometheus sender would, and measures and draws detection against labels.
"""

from aiops.evaluate.arrays import Scores, score_array, score_matrix

__all__ = ["Scores", "score_array", "score_matrix"]
