"""A thread with an inbox under one condition: what engine, sample store and state writer share."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


class Worker(ABC):
    """Runs `_step` on a thread of its own until it says that there is no more to come.

    Whatever the thread and others share is touched under `_changed` only, and every change is
    notified. A subclass implements `_step` and `_stopped`; `_is_closing` tells it to finish.

    Parameters
    ----------
    thread_name
        How the thread is called in stack traces.
    """

    def __init__(self, thread_name: str) -> None:
        self._changed = threading.Condition()
        self._is_closing = False
        self._thread = threading.Thread(target=self._run, name=thread_name, daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def close(self) -> None:
        """Finish what was handed over, as far as it can be, then stop."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
        self._thread.join()

    @abstractmethod
    def _step(self) -> bool:
        """Wait for work and do one piece of it; tell whether there is more to come."""

    @abstractmethod
    def _stopped(self, error: Exception | None) -> None:
        """Clean up on the thread after the last step, or after the `error` that was the last."""

    def _run(self) -> None:
        failure: Exception | None = None
        try:
            while self._step():
                pass
        except Exception as error:  # the thread's border: `_stopped` logs and counts it
            failure = error
        with self._changed:
            self._is_closing = True  # nobody may wait for a thread that is gone
            self._changed.notify_all()
        self._stopped(failure)


def fulfil(future: Future[T], work: Callable[[], T]) -> None:
    """Put into the future what `work` returns or raises, unless its owner has left."""
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(work())
    except Exception as error:  # a border: the caller knows what it means
        future.set_exception(error)
