"""aiops: push metrics and alerts in, get explained incidents and guarded actions out.

One process takes samples, scores each as it arrives, correlates anomalies and alerts into
incidents, tells people and hooks, and answers Grafana. The directory is the sentence: a
request is *served*, read off the *wire*, resolved to *series*, *detected* upon, *correlated*,
*notified* about and *remediated*.
"""

__version__ = "0.1.0"
