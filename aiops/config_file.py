"""From a file, the environment and flags to one checked `Config`.

Later ones win: the file, then `AIOPS_<SECTION>_<FIELD>` variables, then flags. Every fault in any
of them is found in one go, so that a person mends a file once and not line after line.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import ValidationError

from aiops.config import Config, ReceiverConfig
from aiops.config_links import link_problems
from aiops.config_problems import describe_errors, nearest
from aiops.config_schema import ITEM, all_settings
from aiops.config_yaml import read_yaml
from aiops.errors import ConfigError

PREFIX = "AIOPS_"
NOT_SETTINGS = frozenset({"AIOPS_URL"})
"""Variables of ours that are not settings of the service: the address the CLI talks to."""

_SERVICE_LINK = re.compile(
    r"_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$"
)


def load_config(
    path: Path | None, *, environment: Mapping[str, str], overrides: Mapping[str, object]
) -> Config:
    """Return the configuration of a file, overlaid by the environment and then by flags.

    What settings name in each other has been checked as well.

    Parameters
    ----------
    path
        The YAML file; None for the built-in defaults. Playbooks and secret files named in it are
        relative to its folder, `data_dir` to the working directory.
    environment
        The process environment. `AIOPS_` variables that name no setting are faults.
    overrides
        Values by dotted path (`server.listen`), as given on the command line.

    Raises
    ------
    ConfigError
        With every problem found, one line each.
    """
    config = read_config(path, environment=environment, overrides=overrides)
    if problems := tuple(link_problems(config.detect)):
        raise ConfigError(problems)
    return config


def read_config(
    path: Path | None, *, environment: Mapping[str, str], overrides: Mapping[str, object]
) -> Config:
    """Return the configuration as `load_config` does, each setting checked by itself only.

    Raises
    ------
    ConfigError
        With every problem found, one line each.
    """
    data, problems = _read(path)
    given, faults = _from_environment(environment, secrets=set(_secret_variables(data)))
    origins = {setting: f"the variable {name}" for name, (setting, _) in given.items()}
    origins |= dict.fromkeys(overrides, "the command line")
    for setting, value in [*given.values(), *overrides.items()]:
        _put(data, setting, value)
    try:
        config = Config.model_validate(data)
    except ValidationError as error:
        raise ConfigError((*problems, *faults, *describe_errors(error, origins))) from error
    if problems or faults:
        raise ConfigError((*problems, *faults))
    return config if path is None else _anchored(config, path.parent)


def _read(path: Path | None) -> tuple[dict[object, object], tuple[str, ...]]:
    """Return what is in the file, or nothing and why; sections without content count as absent."""
    if path is None:
        return {}, ()
    try:
        data = read_yaml(path)
    except ConfigError as error:
        return {}, error.problems
    if data is None:
        return {}, ()
    if not isinstance(data, dict):
        return {}, (f"{path}: must hold a mapping of sections, not a {type(data).__name__}",)
    return {name: section for name, section in data.items() if section is not None}, ()


def _from_environment(
    environment: Mapping[str, str], *, secrets: set[str]
) -> tuple[dict[str, tuple[str, str]], list[str]]:
    """Return (setting, value) by variable, and the faults in the variables' names."""
    settings = {s.variable: s for s in all_settings().values() if ITEM not in s.path}
    scalars = sorted(name for name, setting in settings.items() if setting.is_scalar)
    given: dict[str, tuple[str, str]] = {}
    faults: list[str] = []
    for name, value in sorted(environment.items()):
        if not name.startswith(PREFIX) or name in NOT_SETTINGS or name in secrets:
            continue
        setting = settings.get(name)
        if setting is not None and setting.is_scalar:
            given[name] = (setting.path, value)
        elif setting is not None:
            faults.append(f"{name}: {setting.path} is no single value; set it in the file")
        elif not _is_service_link(name, value):
            faults.append(f"{name}: unknown variable; {_remedy(name, scalars)}")
    return given, faults


def _remedy(name: str, known: list[str]) -> str:
    # All begin alike, hence the high likeness.
    close = nearest(name, known, likeness_ratio=0.75)
    return f"did you mean {close}?" if close else "config/REFERENCE.md lists them all"


def _is_service_link(name: str, value: str) -> bool:
    """Tell whether Kubernetes made this variable, for a service that is called `aiops`."""
    return bool(_SERVICE_LINK.search(name)) or (name.endswith("_PORT") and "://" in value)


def _secret_variables(data: object) -> Iterator[str]:
    """Yield the variables that `secret: {env: NAME}` refers to: they are ours, but no settings."""
    if isinstance(data, dict):
        if isinstance(name := data.get("env"), str):
            yield name
        for inner in data.values():
            yield from _secret_variables(inner)
    elif isinstance(data, list):
        for inner in data:
            yield from _secret_variables(inner)


def _put(data: dict[object, object], path: str, value: object) -> None:
    *sections, name = path.split(".")
    for section in sections:
        inner = data.setdefault(section, {})
        if not isinstance(inner, dict):
            return  # the schema will say what is wrong with it
        data = inner
    data[name] = value


def _anchored(config: Config, folder: Path) -> Config:
    """Return the configuration with the paths of its file resolved against the file's folder."""
    receivers = tuple(_anchored_secret(receiver, folder) for receiver in config.notify.receivers)
    playbooks = tuple(folder / playbook for playbook in config.remediate.playbooks)
    return config.model_copy(
        update={
            "notify": config.notify.model_copy(update={"receivers": receivers}),
            "remediate": config.remediate.model_copy(update={"playbooks": playbooks}),
        }
    )


def _anchored_secret(receiver: ReceiverConfig, folder: Path) -> ReceiverConfig:
    if receiver.secret is None or receiver.secret.file is None:
        return receiver
    secret = receiver.secret.model_copy(update={"file": folder / receiver.secret.file})
    return receiver.model_copy(update={"secret": secret})
