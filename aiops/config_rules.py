"""Detection rules: what is told of some series that differs from all others."""

from typing import Literal

from pydantic import ConfigDict, Field, model_validator

from aiops.config_section import Section

RULES_MAX = 250
"""Follows: rules of a series are numbers of one byte, 0 is none, and some are left over."""

OFF = "off"
DEFAULT = "default"


class SeriesRule(Section):
    """How the series that match are judged; of all rules only the first that matches counts."""

    model_config = ConfigDict(allow_inf_nan=False)

    match: str = Field(description='series selector, for example {__name__=~"node_.+"}')
    detector: str = Field(
        DEFAULT,
        pattern=r"^[a-z][a-z0-9_-]{0,40}$",
        description="who judges: default, off (nobody; thresholds still count), or the name of "
        "a detector in detect.river",
    )
    challenger: str | None = Field(
        None,
        pattern=r"^[a-z][a-z0-9_-]{0,40}$",
        description="name of a detector in detect.river with alarming: false that scores beside",
    )
    direction: Literal["both", "up", "down"] = Field(
        "both", description="deviations that count: above what was expected, below, or both"
    )
    deviation_min: float | None = Field(
        None, ge=0, description="deviations smaller than this do not count; in the feature's unit"
    )
    deviation_ratio_min: float | None = Field(
        None, ge=0, description="deviations smaller than this share of the expected do not count"
    )
    valid_min: float | None = Field(
        None, description="anything less is bad data: not learnt, not judged, counted"
    )
    valid_max: float | None = Field(
        None, description="anything more is bad data: not learnt, not judged, counted"
    )
    threshold_above: float | None = Field(
        None, description="anything more is an anomaly, whatever the detector says"
    )
    threshold_below: float | None = Field(
        None, description="anything less is an anomaly, whatever the detector says"
    )
    warmup_samples: int | None = Field(
        None,
        ge=20,
        le=10_000,
        description="samples before a score counts, where more than detect.warmup_samples",
    )
    season: Literal["auto", "none", "day", "week"] = Field(
        "auto",
        description="season that the built-in detector may follow; auto: what the data shows",
    )

    @model_validator(mode="after")
    def _bounds_are_ordered(self) -> "SeriesRule":
        if not _ordered(self.valid_min, self.valid_max):
            raise ValueError("valid_min must be below valid_max")
        if not _ordered(self.threshold_below, self.threshold_above):
            raise ValueError("threshold_below must be below threshold_above")
        return self

    @model_validator(mode="after")
    def _the_detector_heeds_what_is_given(self) -> "SeriesRule":
        own = ("direction", "deviation_min", "deviation_ratio_min", "warmup_samples", "season")
        given = [name for name in own if name in self.model_fields_set]
        if self.detector != DEFAULT and given:
            verb = "change" if len(given) > 1 else "changes"
            raise ValueError(
                f"{', '.join(given)} {verb} nothing, since only the built-in detector heeds that: "
                "remove it, or set detector to default"
            )
        return self


def _ordered(low: float | None, high: float | None) -> bool:
    return low is None or high is None or low < high


DEFAULT_RULES = (
    # Scraped back they move with each anomaly that is found, and would make one of that.
    SeriesRule(match='{__name__=~"aiops_.+"}', detector=OFF),
    # They count what a target shows and move with every deploy; what ceases to be shown is an
    # absence. `up` and `scrape_duration_seconds` tell of the target itself and are judged.
    SeriesRule(
        match='{__name__=~"scrape_samples_scraped|scrape_samples_post_metric_relabeling|'
        'scrape_series_added"}',
        detector=OFF,
    ),
)
