"""Settings of derived series: what is made of several series, and judged in their place."""

from pydantic import Field, field_validator

from aiops.config_section import Section

QUANTILE_LEAST, QUANTILE_MOST = 0.001, 0.999
"""Chosen: beyond, a quantile needs more than 1,000 observations for each in its tail."""


class HistogramsConfig(Section):
    """Classic histograms: quantiles and rates in place of single buckets."""

    enabled: bool = Field(
        True,
        description="whether the quantiles and the rate of a histogram are judged; "
        "false: each bucket, as a counter",
    )
    quantiles: tuple[float, ...] = Field(
        (0.5, 0.95),
        max_length=4,
        description="quantiles that are judged, as series NAME:p50; from 0.001 to 0.999",
    )
    tail_observations_min: int = Field(
        5,
        ge=1,
        le=1000,
        description="observations beyond a quantile, on its shorter side, that it needs; "
        "5 = 10 for the median, 100 for p95, 500 for p99",
    )
    window_s: int = Field(
        900,
        ge=10,
        le=86_400,
        description="longest time to wait for these; with fewer a quantile is not judged",
    )

    @field_validator("quantiles")
    @classmethod
    def _quantiles_are_in_range_and_differ(cls, quantiles: tuple[float, ...]) -> tuple[float, ...]:
        for quantile in quantiles:
            if not QUANTILE_LEAST <= quantile <= QUANTILE_MOST:
                raise ValueError(f"{quantile} is not from {QUANTILE_LEAST} to {QUANTILE_MOST}")
        if len({round(quantile, 3) for quantile in quantiles}) != len(quantiles):
            raise ValueError("quantiles must differ in their first three decimals")
        return quantiles


class RatioRule(Section):
    """A ratio of counters, for instance errors to requests, as one series for each label set."""

    name: str = Field(
        pattern=r"^[a-zA-Z_:][a-zA-Z0-9_:]{0,200}$",
        description="name of the series, for example checkout:error_ratio",
    )
    numerator: str = Field(
        description='selector of counters, for example http_requests_total{code=~"5.."}'
    )
    denominator: str = Field(
        description="selector of counters, for example http_requests_total; those of the "
        "numerator among them"
    )
    by: tuple[str, ...] = Field(
        (), max_length=8, description="labels whose values make series of their own; empty: one"
    )
    observations_min: int = Field(
        100,
        ge=1,
        le=1_000_000_000,
        description="increase of the denominator that a value needs; 100: a standard error of "
        "0.05 at most, of 0.01 where one in a hundred fails",
    )
    step_s: int = Field(60, ge=1, le=86_400, description="least time between two values")
    window_s: int = Field(
        900,
        ge=1,
        le=86_400,
        description="longest time to wait for observations_min; with fewer there is no value",
    )


class DerivedConfig(Section):
    """Series that the service makes of others, and judges in their place."""

    series_max: int = Field(
        100_000, ge=0, le=10_000_000, description="derived series; histograms beyond have none"
    )
    histograms: HistogramsConfig = HistogramsConfig()
    ratios: tuple[RatioRule, ...] = Field(
        (),
        max_length=100,
        description="ratios of counters; a tenth of series_max is for them if there are any",
    )

    @field_validator("ratios")
    @classmethod
    def _names_differ(cls, ratios: tuple[RatioRule, ...]) -> tuple[RatioRule, ...]:
        if len({ratio.name for ratio in ratios}) != len(ratios):
            raise ValueError("names of ratios must differ")
        return ratios
