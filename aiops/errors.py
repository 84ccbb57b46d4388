"""The one tree of errors. Each carries its facts as fields and the remedy in its text."""


class AiopsError(Exception):
    """Base of every error this product raises on purpose."""

    retryable = False


class ConfigError(AiopsError):
    """A configuration is unusable; `problems` lists every fault found, one line each."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class DecodeError(AiopsError):
    """A body from outside cannot be read at all; `offset` is the first bad byte, -1 if unknown."""

    def __init__(self, message: str, *, offset: int = -1) -> None:
        super().__init__(message if offset < 0 else f"{message} at byte {offset}")
        self.offset = offset


class UnsupportedMediaError(DecodeError):
    """The content type or encoding is not one this door reads (HTTP 415)."""


class LimitError(AiopsError):
    """A permanent limit is exceeded; `setting` names the config field that holds it."""

    def __init__(self, message: str, *, setting: str) -> None:
        super().__init__(f"{message}; raise {setting} or send less")
        self.setting = setting


class OverloadError(AiopsError):
    """The service cannot take more now; the sender should come again after `retry_after_s`."""

    retryable = True

    def __init__(self, message: str, *, retry_after_s: int = 5) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class JournalError(AiopsError):
    """The journal could not make a record durable, so it must not be acknowledged."""

    retryable = True


class StoreError(AiopsError):
    """A database of ours failed to read or write."""

    retryable = True


class SnapshotError(AiopsError):
    """A snapshot is damaged or was made by an incompatible version."""


class QueryError(AiopsError):
    """A query is malformed or asks for the impossible (HTTP 400, `bad_data`)."""


class UnsupportedQueryError(AiopsError):
    """A well-formed query uses `construct`, which cannot be evaluated yet (HTTP 422)."""

    def __init__(self, construct: str) -> None:
        super().__init__(f"{construct} is not supported yet")
        self.construct = construct


class QueryExecutionError(AiopsError):
    """A valid query failed while it was evaluated (HTTP 422, `execution`)."""


class NotFoundError(AiopsError):
    """The named incident, playbook or series does not exist."""


class ConflictError(AiopsError):
    """The command does not apply in the present state (for example: already resolved)."""


class ActionError(AiopsError):
    """An outbound call failed; `retryable` says whether it surely had no effect."""

    def __init__(self, message: str, *, retryable: bool) -> None:
        super().__init__(message)
        self.retryable = retryable
