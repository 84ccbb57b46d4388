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


class DerivedConfig(Section):
    """Series that the service makes of others, and judges in their place."""

    series_max: int = Field(
        100_000, ge=0, le=10_000_000, description="derived series; histograms beyond have none"
    )
    histograms: HistogramsConfig = HistogramsConfig()
