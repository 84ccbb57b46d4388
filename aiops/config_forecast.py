"""Settings of forecasts: which series are watched, and which bounds they must not reach."""

from pydantic import ConfigDict, Field, model_validator

from aiops.config_section import Section

FORECAST_RULES_MAX = 100
"""Chosen: each new name is matched against all of them, once."""


class ForecastRule(Section):
    """Series whose trend is learnt, and the bound they must not reach within a time."""

    model_config = ConfigDict(allow_inf_nan=False)

    match: str = Field(
        description='series selector, for example {__name__="node_filesystem_avail_bytes"}'
    )
    below: float | None = Field(
        None, description="bound from above: an anomaly when it is about to be fallen to"
    )
    above: float | None = Field(
        None, description="bound from below: an anomaly when it is about to be risen to"
    )
    within_s: int = Field(
        21_600,
        ge=300,
        le=518_400,
        description="an anomaly opens when the bound is expected to be reached within this time",
    )

    @model_validator(mode="after")
    def _one_bound_at_most(self) -> "ForecastRule":
        if self.below is not None and self.above is not None:
            raise ValueError("give below or above; for both bounds write two rules")
        return self


DEFAULT_FORECAST_RULES = (
    # In memory, read-only and layered file systems are full by design, or those of another mount.
    ForecastRule(
        match='{__name__=~"node_filesystem_avail_bytes|node_filesystem_files_free",'
        'fstype!~"tmpfs|ramfs|squashfs|iso9660|overlay|erofs"}',
        below=0.0,
    ),
    ForecastRule(
        match='{__name__=~"kubelet_volume_stats_available_bytes|kubelet_volume_stats_inodes_free"}',
        below=0.0,
    ),
)


class ForecastConfig(Section):
    """Forecasts of series, and the time until they reach a bound."""

    enabled: bool = Field(True, description="whether trends are learnt and bounds watched at all")
    rules: tuple[ForecastRule, ...] = Field(
        (),
        max_length=FORECAST_RULES_MAX,
        description="series to watch; of all rules only the first that matches a series counts; "
        "one without a bound only learns how well the series can be forecast",
    )
    default_rules: tuple[ForecastRule, ...] = Field(
        DEFAULT_FORECAST_RULES,
        max_length=FORECAST_RULES_MAX,
        description="rules for series that match none of rules; file systems and volumes by "
        "default",
    )
    series_max: int = Field(
        10_000, ge=1, le=1_000_000, description="series watched; further ones are refused, counted"
    )
    evaluations: int = Field(
        3,
        ge=1,
        le=60,
        description="evaluations in a row, one a minute, that open and that close an anomaly",
    )
