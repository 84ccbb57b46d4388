"""`aiops incident`: list, show, acknowledge and resolve incidents of a running service."""

import argparse
import getpass
import os
from collections.abc import Callable
from urllib.parse import quote

from aiops.cli.api_client import ApiClient, RefusedError
from aiops.cli.exit_codes import ExitCode
from aiops.cli.incident_view import incident_details, incident_list
from aiops.cli.terminal import say, say_json, show
from aiops.domain.incident import Incident, IncidentState
from aiops.domain.incident_json import incident_from_json
from aiops.errors import DecodeError

DEFAULT_URL = "http://127.0.0.1:9800"
LIMIT_DEFAULT = 50
"""Chosen: two screens; `--limit` gives more."""

_API = "/api/v1/incidents"
_Subparsers = argparse._SubParsersAction


def add_parser(subparsers: "_Subparsers[argparse.ArgumentParser]") -> None:
    """Add the command and its four verbs."""
    parser = subparsers.add_parser("incident", help="list, show, acknowledge, resolve incidents")
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    lister = _verb(verbs, "list", _list, "list incidents, newest first")
    lister.add_argument(
        "--state",
        action="append",
        default=[],
        choices=[state.value for state in IncidentState],
        help="only in this state; may be given several times",
    )
    lister.add_argument(
        "--limit", type=int, default=LIMIT_DEFAULT, metavar="N", help="at most N (%(default)s)"
    )
    shower = _verb(verbs, "show", _show, "show one incident with its evidence and time line")
    shower.add_argument("incident_id", metavar="ID")
    for reader in (lister, shower):
        reader.add_argument("--json", action="store_true", help="print JSON instead of tables")
    for name, do in (("ack", _acknowledge), ("resolve", _resolve)):
        writer = _verb(verbs, name, do, f"{do.__name__.strip('_')} one incident")
        writer.add_argument("incident_id", metavar="ID")
        writer.add_argument("--author", help="who does it (the user who is logged in)")
        writer.add_argument("--comment", default="", help="why, for the time line")


def run(args: argparse.Namespace) -> int:
    """Carry out the verb that was chosen."""
    do: Callable[[ApiClient, argparse.Namespace], int] = args.do
    return do(ApiClient(args.url, timeout_s=args.timeout), args)


def _verb(
    verbs: "_Subparsers[argparse.ArgumentParser]",
    name: str,
    do: Callable[[ApiClient, argparse.Namespace], int],
    text: str,
) -> argparse.ArgumentParser:
    parser = verbs.add_parser(name, help=text, description=text[:1].upper() + text[1:] + ".")
    parser.add_argument(
        "--url",
        default=os.environ.get("AIOPS_URL", DEFAULT_URL),
        help="address of the service (%(default)s; or the variable AIOPS_URL)",
    )
    parser.add_argument(
        "--timeout", type=float, default=10.0, metavar="S", help="seconds to wait (%(default)s)"
    )
    parser.set_defaults(do=do)
    return parser


def _list(client: ApiClient, args: argparse.Namespace) -> int:
    query = [("limit", str(args.limit)), *(("state", state) for state in args.state)]
    answer = client.get(_API, query)
    if args.json:
        say_json(answer)
        return ExitCode.OK
    items = answer.get("incidents")
    incidents = [_decode(item) for item in items] if isinstance(items, list) else []
    if incidents:
        show(incident_list(incidents))
    else:
        say(f"no incidents{' in state ' + ' or '.join(args.state) if args.state else ''}")
    return ExitCode.OK


def _show(client: ApiClient, args: argparse.Namespace) -> int:
    answer = client.get(_path(args.incident_id))
    if args.json:
        say_json(answer)
    else:
        show(incident_details(_decode(answer)))
    return ExitCode.OK


def _acknowledge(client: ApiClient, args: argparse.Namespace) -> int:
    client.post(_path(args.incident_id) + "/ack", _order(args))
    say(f"{args.incident_id}: acknowledged")
    return ExitCode.OK


def _resolve(client: ApiClient, args: argparse.Namespace) -> int:
    client.post(_path(args.incident_id) + "/resolve", _order(args))
    say(f"{args.incident_id}: resolved")
    return ExitCode.OK


def _path(incident_id: str) -> str:
    return f"{_API}/{quote(incident_id, safe='')}"


def _order(args: argparse.Namespace) -> dict[str, str]:
    return {"author": args.author or _user(), "comment": args.comment}


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run as a user without a name
        return "unknown"


def _decode(data: object) -> Incident:
    try:
        return incident_from_json(data if isinstance(data, dict) else {})
    except DecodeError as error:
        raise RefusedError(
            f"the answer is not understood ({error}); "
            "do this command and the service have the same version? --json shows it raw"
        ) from error
