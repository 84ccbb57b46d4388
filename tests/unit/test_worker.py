from concurrent.futures import Future

import pytest

from aiops.worker import Worker, fulfil


class Counting(Worker):
    """Works off a number of steps, the last of which may fail."""

    def __init__(self, n_steps: int, failure: Exception | None = None) -> None:
        super().__init__("counting")
        self.left = n_steps
        self.failure = failure
        self.ended_with: list[Exception | None] = []

    def _step(self) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self.left or self._is_closing)
        if not self.left:
            return False
        self.left -= 1
        if not self.left and self.failure is not None:
            raise self.failure
        return True

    def _stopped(self, error: Exception | None) -> None:
        self.ended_with.append(error)


def test_close_waits_until_everything_is_worked_off():
    worker = Counting(5)
    worker.start()
    worker.close()
    assert (worker.left, worker.ended_with) == (0, [None])


def test_a_step_that_fails_is_the_last_and_is_told():
    failure = ValueError("broken")
    worker = Counting(3, failure)
    worker.start()
    worker.close()
    assert worker.ended_with == [failure]


def test_a_future_gets_what_the_work_returned_or_raised():
    good: Future[int] = Future()
    bad: Future[int] = Future()
    fulfil(good, lambda: 7)
    fulfil(bad, lambda: 1 // 0)
    assert good.result() == 7
    with pytest.raises(ZeroDivisionError):
        bad.result()


def test_work_nobody_waits_for_any_more_is_not_done():
    left: Future[None] = Future()
    left.cancel()
    done: list[int] = []
    fulfil(left, lambda: done.append(1))
    assert done == []
