"""Settings of the detectors over several series at once: entities, and replicas."""

from pydantic import Field

from aiops.config_section import Section


class GroupConfig(Section):
    """Entities: series with equal values of some labels, judged together."""

    by: tuple[str, ...] = Field(
        ("job", "instance"),
        max_length=8,
        description="labels whose values name an entity; a series without one is in none; "
        "empty: no entities",
    )
    entities_max: int = Field(
        10_000, ge=1, le=1_000_000, description="entities; series of further ones are in none"
    )
    members_min: int = Field(
        3, ge=2, le=1000, description="series past their warm-up that an entity needs to be judged"
    )


class PeersConfig(Section):
    """Replicas: series that differ in some labels only, judged against each other."""

    replica_labels: tuple[str, ...] = Field(
        (),
        max_length=16,
        description="labels that tell replicas apart, for example instance and pod; "
        "empty: replicas are not compared",
    )
    groups_max: int = Field(
        50_000, ge=1, le=5_000_000, description="groups of replicas; further ones are not compared"
    )
    peers_min: int = Field(
        4, ge=2, le=63, description="peers with a sample at the time that a verdict needs"
    )
