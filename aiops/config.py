"""Every setting of the service: one typed, frozen schema with units, defaults and ranges.

`config_file.py` reads YAML, the environment and flags into it; `config/aiops.yaml` and
`config/REFERENCE.md` are generated from it and compared in a test. Each part of the service is
handed its own section; nobody reads the configuration globally.
"""

import os
from datetime import date
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator, model_validator

from aiops.config_alarms import AlarmsConfig
from aiops.config_derived import DerivedConfig
from aiops.config_forecast import ForecastConfig
from aiops.config_groups import GroupConfig, PeersConfig
from aiops.config_rules import DEFAULT_RULES, RULES_MAX, SeriesRule
from aiops.config_section import Section

MIB = 1024 * 1024


class ServerConfig(Section):
    """The HTTP edge."""

    listen: Annotated[str, Field(pattern=r"^.+:\d{1,5}$")] = Field(
        "127.0.0.1:9800", description="host:port to listen on"
    )
    external_url: str = Field(
        "", description="address people reach this service at, for links; empty = http://LISTEN"
    )
    body_bytes_max: int = Field(
        32 * MIB, ge=1024, le=1024 * MIB, description="largest request body as sent"
    )
    body_bytes_in_flight_max: int = Field(
        256 * MIB, ge=1024, le=1024 * 1024 * MIB, description="request bodies in memory at once"
    )
    drain_timeout_s: float = Field(
        8.0, ge=0.1, le=300, description="time in-flight requests get at shutdown"
    )


class LimitsConfig(Section):
    """Bounds on what senders may ask for, checked before memory is taken."""

    decompressed_bytes_max: int = Field(
        64 * MIB, ge=1024, le=1024 * MIB, description="largest body after decompression"
    )
    samples_per_request_max: int = Field(
        500_000, ge=1, le=10_000_000, description="samples one request may carry"
    )
    series_per_request_max: int = Field(
        200_000, ge=1, le=10_000_000, description="TimeSeries entries one request may carry"
    )
    series_max: int = Field(
        1_000_000, ge=1, le=50_000_000, description="live series; newcomers beyond are refused"
    )
    new_series_per_s: int = Field(
        20_000, ge=1, le=10_000_000, description="rate at which series may be created"
    )
    new_series_burst: int = Field(
        250_000, ge=1, le=50_000_000, description="series that may be created at once"
    )
    labels_per_series_max: int = Field(40, ge=1, le=250, description="labels a series may have")
    label_name_bytes_max: int = Field(256, ge=8, le=4096, description="longest label name")
    label_value_bytes_max: int = Field(2048, ge=8, le=65_536, description="longest label value")
    label_block_bytes_max: int = Field(
        8192, ge=64, le=262_144, description="all labels of one series together"
    )
    future_span_s: int = Field(
        600, ge=0, le=86_400, description="samples further ahead of now than this are refused"
    )


class EngineConfig(Section):
    """The scoring engine between journal and stores."""

    queue_rows_max: int = Field(
        2_000_000, ge=1000, le=100_000_000, description="samples waiting to be scored before 503"
    )
    tick_interval_s: float = Field(
        1.0, ge=0.05, le=60, description="how often time passes for the core"
    )
    series_idle_s: int = Field(
        21_600, ge=60, le=2_592_000, description="silence after which a series is forgotten"
    )


class JournalConfig(Section):
    """The durable log of every accepted input."""

    sync: Literal["full", "os"] = Field(
        "full",
        description="full: acknowledged data survives a power cut; "
        "os: survives kill -9, a power cut may take the last seconds",
    )
    bytes_max: int = Field(
        8192 * MIB, ge=16 * MIB, description="size at which new data is refused with 503"
    )


class SnapshotConfig(Section):
    """Saved engine state, so that a start need not replay everything."""

    interval_s: float = Field(
        300.0, ge=1, le=86_400, description="time between snapshots; also taken at shutdown"
    )


class StoreConfig(Section):
    """Sealed rows on disk, one database a day."""

    retention_days: int = Field(15, ge=1, le=3650, description="whole days kept on disk")
    chunk_rows: int = Field(
        120, ge=16, le=480, description="newest rows of a series kept in memory before sealing"
    )


class RiverRule(Section):
    """A River detector that runs beside the built-in one on a few series."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,40}$", description="detector name in results")
    match: str | None = Field(
        None,
        description='series selector, for example {job="node"}; unset: only the series for which '
        "detect.rules name this detector",
    )
    detector: str = Field(
        description="dotted path or pipeline, for example "
        "river.preprocessing.MinMaxScaler | river.anomaly.HalfSpaceTrees",
        pattern=r"^river(\.[A-Za-z_]\w*)+( ?\| ?river(\.[A-Za-z_]\w*)+)*$",
    )
    params: dict[str, int | float | str | bool] = Field(
        default_factory=dict,
        description="constructor arguments of the last step; Step.argument for those of another",
    )
    feature: str = Field("value", description="key the sample is passed under")
    series_max: int = Field(200, ge=1, le=10_000, description="series this detector may watch")
    alarming: bool = Field(
        True,
        description="whether it opens anomalies; false: a challenger, of which is told what it "
        "would have opened",
    )


class AbsenceConfig(Section):
    """Series and groups of series that stop sending, or send late."""

    enabled: bool = Field(True, description="whether absence is watched for at all")
    floor_s: int = Field(
        120, ge=10, le=86_400, description="silence that is never an absence, however fast a series"
    )
    factor: float = Field(
        4.0, ge=1.5, le=100, description="silence, in the longest usual gaps, that is an absence"
    )
    ended_s: int = Field(
        300,
        ge=10,
        le=86_400,
        description="time a group whose series were ended by staleness markers has to come back",
    )
    group_by: tuple[str, ...] = Field(
        ("job", "instance"),
        max_length=6,
        description="labels that make groups, largest first; the largest silent one is reported",
    )
    min_gaps: int = Field(
        20, ge=5, le=250, description="gaps seen of a series before its absence counts"
    )
    series_per_group_max: int = Field(
        3,
        ge=0,
        le=1000,
        description="absences of single series in a group; beyond, one of the group; "
        "0 = only groups",
    )


class DetectConfig(Section):
    """Scoring and the life of an anomaly."""

    warmup_samples: int = Field(
        60, ge=20, le=10_000, description="samples of a series before its score counts"
    )
    time_zone: str = Field(
        "UTC", description="IANA name of the time zone in which days and weeks repeat"
    )
    holidays: tuple[date, ...] = Field(
        (), max_length=1000, description="days (YYYY-MM-DD) that are expected to be like Sundays"
    )
    alarm_score: float | None = Field(
        None,
        ge=1,
        le=50,
        description="-log10 p at which any anomaly opens (6 = one in a million); "
        "unset: the alarm budget decides",
    )
    clear_score: float = Field(
        3.0, ge=0.1, le=50, description="-log10 p below which a sample counts as quiet"
    )
    open_samples: int = Field(
        3, ge=1, le=60, description="samples at the level, nearly in a row, that open"
    )
    close_samples: int = Field(
        5, ge=1, le=600, description="quiet samples in a row that close an anomaly"
    )
    anomalies_open_max: int = Field(
        10_000, ge=10, le=1_000_000, description="anomalies open at once; weaker ones are shed"
    )
    absence: AbsenceConfig = AbsenceConfig()
    ignore: tuple[str, ...] = Field(
        (), description='selectors of series to store but not to judge, e.g. {__name__=~"go_.+"}'
    )
    rules: tuple[SeriesRule, ...] = Field(
        (),
        max_length=RULES_MAX - 50,
        description="how some series are judged; the first that matches a series counts",
    )
    default_rules: tuple[SeriesRule, ...] = Field(
        DEFAULT_RULES,
        max_length=50,
        description="rules for series that match none of rules; those of the service itself",
    )
    river: tuple[RiverRule, ...] = Field((), description="River detectors to run as slow banks")
    group: GroupConfig = GroupConfig()
    peers: PeersConfig = PeersConfig()
    forecast: ForecastConfig = ForecastConfig()

    @field_validator("time_zone")
    @classmethod
    def _time_zone_is_known(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(f"{name!r} is no IANA time zone, such as Europe/Berlin") from error
        return name

    @model_validator(mode="after")
    def _hysteresis_is_ordered(self) -> "DetectConfig":
        if self.alarm_score is not None and self.clear_score >= self.alarm_score:
            raise ValueError("clear_score must be below alarm_score")
        return self


class CorrelateConfig(Section):
    """Which signals share an incident, and for how long it lives."""

    window_s: int = Field(
        300, ge=1, le=86_400, description="a signal joins an incident active this recently"
    )
    labels: tuple[str, ...] = Field(
        ("service", "app", "job"),
        min_length=1,
        description="labels of which equal values tie signals together, strongest first",
    )
    quiet_s: int = Field(
        120, ge=1, le=86_400, description="time without firing evidence before auto-resolve"
    )
    reopen_s: int = Field(
        600, ge=0, le=86_400, description="a resolved incident reopens within this time"
    )
    members_max: int = Field(200, ge=1, le=10_000, description="anomalies and alerts kept each")
    incidents_open_max: int = Field(
        1000, ge=1, le=100_000, description="open incidents; beyond, signals join an overflow one"
    )


class SecretRef(Section):
    """Where a secret is read from; never the secret itself."""

    file: Path | None = Field(None, description="file that holds the secret")
    env: str | None = Field(None, description="environment variable that holds the secret")

    @model_validator(mode="after")
    def _exactly_one(self) -> "SecretRef":
        if (self.file is None) == (self.env is None):
            raise ValueError("give exactly one of file and env")
        return self

    def read(self) -> bytes:
        """Return the secret, stripped of surrounding white space.

        Raises
        ------
        OSError, KeyError
            When the file cannot be read or the variable is not set.
        """
        if self.file is not None:
            return self.file.read_bytes().strip()
        assert self.env is not None
        return os.environ[self.env].encode().strip()


class ReceiverConfig(Section):
    """A target of incident notifications."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,40}$", description="name in logs and keys")
    kind: Literal["webhook", "alertmanager"] = Field(description="what protocol it speaks")
    url: str = Field(
        pattern=r"^https?://", description="webhook address, or Alertmanager's base address"
    )
    secret: SecretRef | None = Field(None, description="key that signs webhook bodies")
    match: str = Field("{}", description="only incidents whose labels match this selector")
    timeout_s: float = Field(10.0, ge=0.1, le=120, description="time limit of one attempt")
    resend_interval_s: float = Field(
        60.0, ge=1, le=3600, description="how often an open incident is sent to Alertmanager again"
    )


class NotifyConfig(Section):
    """Who is told about incidents."""

    receivers: tuple[ReceiverConfig, ...] = Field((), description="targets of notifications")
    attempts_max: int = Field(
        20, ge=1, le=1000, description="deliveries tried before a message is given up"
    )
    backoff_s_max: float = Field(300.0, ge=0.1, le=86_400, description="longest wait between tries")

    @model_validator(mode="after")
    def _names_differ(self) -> "NotifyConfig":
        names = [receiver.name for receiver in self.receivers]
        if len(set(names)) != len(names):
            raise ValueError("receiver names must differ")
        return self


class RemediateConfig(Section):
    """Playbooks: what may be done about incidents."""

    mode: Literal["off", "dry-run", "auto"] = Field(
        "dry-run", description="the most any playbook may do; auto lets those marked auto act"
    )
    playbooks: tuple[Path, ...] = Field((), description="playbook files (YAML)")
    url_allow: tuple[str, ...] = Field(
        (), description="host:port pairs that actions may call; nothing else is ever called"
    )
    actions_per_hour_max: int = Field(
        12, ge=1, le=10_000, description="actions run in any hour, all playbooks together"
    )
    timeout_s: float = Field(10.0, ge=0.1, le=300, description="time limit of one action")


class LogConfig(Section):
    """The service's own log: JSON lines on stderr."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="least severe level written"
    )


class Config(Section):
    """The whole configuration."""

    data_dir: Path = Field(Path("data"), description="where journal, state and samples live")
    server: ServerConfig = ServerConfig()
    limits: LimitsConfig = LimitsConfig()
    engine: EngineConfig = EngineConfig()
    journal: JournalConfig = JournalConfig()
    snapshot: SnapshotConfig = SnapshotConfig()
    store: StoreConfig = StoreConfig()
    detect: DetectConfig = DetectConfig()
    alarms: AlarmsConfig = AlarmsConfig()
    derived: DerivedConfig = DerivedConfig()
    correlate: CorrelateConfig = CorrelateConfig()
    notify: NotifyConfig = NotifyConfig()
    remediate: RemediateConfig = RemediateConfig()
    log: LogConfig = LogConfig()

    @model_validator(mode="after")
    def _a_level_is_fixed_or_budgeted(self) -> "Config":
        is_budgeted = self.alarms.false_per_day is not None or self.alarms.budgets
        if self.detect.alarm_score is not None and is_budgeted:
            raise ValueError(
                "detect.alarm_score fixes the level of all series, so that alarms.false_per_day "
                "and alarms.budgets would change nothing: remove one or the other"
            )
        return self
