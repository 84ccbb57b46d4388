"""The settings of the alarm budget."""

from pydantic import Field

from aiops.config_section import Section


class AlarmBudgetRule(Section):
    """An alarm budget of its own for some series."""

    match: str = Field(description='series selector, for example {job="node"}')
    false_per_day: float = Field(
        ge=0.001, le=1_000_000, description="anomalies a day that may be false, all these together"
    )


class AlarmsConfig(Section):
    """How many false anomalies are acceptable: what decides the score that opens one."""

    false_per_day: float | None = Field(
        None,
        ge=0.001,
        le=1_000_000,
        description="anomalies a day that may be false, all series together; unset: 1, in fleets "
        "below 100 series one for 100 series, above 10,000 one for 10,000",
    )
    budgets: tuple[AlarmBudgetRule, ...] = Field(
        (),
        max_length=32,
        description="budgets of their own; the first that matches a series counts, the others "
        "share false_per_day",
    )
