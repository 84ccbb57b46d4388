"""How far effects are written, and who waits for it."""

import asyncio
import threading

from aiops.progress import Progress


def test_a_position_that_is_written_already_is_not_waited_for():
    async def run() -> None:
        progress = Progress()
        progress.written(5, has_effects=False)
        await asyncio.wait_for(progress.wait(5), 10)

    asyncio.run(run())


def test_a_waiter_is_woken_when_its_position_is_written_and_not_before():
    async def run() -> list[bool]:
        progress = Progress()
        waiter = asyncio.create_task(progress.wait(5))
        states = []
        for seq in (3, 4, 5):
            progress.written(seq, has_effects=False)
            await yielded()
            states.append(waiter.done())
        return states

    assert asyncio.run(run()) == [False, False, True]


async def yielded() -> None:
    """Let the loop do all that is ready."""
    for _ in range(5):
        await asyncio.sleep(0)


def test_every_waiter_up_to_a_position_is_woken():
    async def run() -> list[bool]:
        progress = Progress()
        waiters = [asyncio.create_task(progress.wait(seq)) for seq in (7, 5, 6, 8)]
        await yielded()
        progress.written(7, has_effects=True)
        await yielded()
        states = [waiter.done() for waiter in waiters]
        progress.written(8, has_effects=False)
        await asyncio.gather(*waiters)
        return states

    assert asyncio.run(run()) == [True, True, True, False]


def test_a_cancelled_waiter_does_not_hold_others_up():
    async def run() -> None:
        progress = Progress()
        gone, stays = (asyncio.create_task(progress.wait(5)) for _ in range(2))
        await yielded()
        gone.cancel()
        progress.written(5, has_effects=False)
        await asyncio.wait_for(stays, 10)

    asyncio.run(run())


def test_wakers_are_called_on_the_loop_for_effects_only():
    threads: list[threading.Thread] = []

    async def run() -> None:
        progress = Progress()
        progress.wake(lambda: threads.append(threading.current_thread()))
        await asyncio.to_thread(progress.written, 1, True)
        await asyncio.to_thread(progress.written, 2, False)
        await yielded()

    asyncio.run(run())
    assert threads == [threading.current_thread()]


def test_work_from_any_thread_is_called_on_the_loop():
    async def run() -> threading.Thread:
        progress = Progress()
        called: asyncio.Future[threading.Thread] = asyncio.get_running_loop().create_future()
        call = lambda: called.set_result(threading.current_thread())  # noqa: E731  # one use
        await asyncio.to_thread(progress.call, call)
        return await asyncio.wait_for(called, 10)

    assert asyncio.run(run()) is threading.current_thread()


def test_no_waiter_is_forgotten_whenever_the_writer_comes():
    """Without waiters the writer does not wake the loop; it must not miss one that just came."""

    async def run() -> None:
        progress = Progress()
        for seq in range(1, 500):
            writer = threading.Thread(target=progress.written, args=(seq, False))
            writer.start()
            await asyncio.wait_for(progress.wait(seq), 10)
            writer.join()

    asyncio.run(run())
