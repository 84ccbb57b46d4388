"""What the process says to whoever started it."""

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of every command; part of the interface that scripts rely on."""

    OK = 0
    FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    INTERNAL = 70
    INTERRUPTED = 130


EXPLAINED = {
    ExitCode.OK: "the command did what it was asked",
    ExitCode.FAILED: "the command failed, for example: no such incident",
    ExitCode.USAGE: "wrong usage or configuration",
    ExitCode.UNREACHABLE: "the service could not be reached",
    ExitCode.INTERNAL: "an internal fault, please report it",
    ExitCode.INTERRUPTED: "interrupted from the keyboard",
}
"""70 is EX_SOFTWARE of sysexits.h, 130 what shells give for SIGINT (128 + 2)."""
