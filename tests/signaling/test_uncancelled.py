"""Work that a cancelled task still does to its end."""

from __future__ import annotations

import asyncio

import pytest

from signaling.uncancelled import uncancelled

pytestmark = pytest.mark.anyio


async def test_it_is_done_however_often_its_task_is_cancelled() -> None:
    begun, go, done = asyncio.Event(), asyncio.Event(), list[str]()

    async def work() -> None:
        begun.set()
        await go.wait()
        done.append("done")

    waiting = asyncio.create_task(uncancelled(work()))
    await begun.wait()
    for _ in range(3):
        waiting.cancel()
        await asyncio.sleep(0)
        assert not waiting.done()
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert done == ["done"]


async def test_it_gives_what_the_work_gives() -> None:
    async def three() -> int:
        return 3

    async def fail() -> None:
        raise ValueError("no")

    assert await uncancelled(three()) == 3
    with pytest.raises(ValueError, match="no"):
        await uncancelled(fail())


async def test_an_error_of_the_work_is_the_cause_of_the_cancellation() -> None:
    go = asyncio.Event()

    async def fail() -> None:
        await go.wait()
        raise ValueError("no")

    waiting = asyncio.create_task(uncancelled(fail()))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.sleep(0)
    go.set()
    with pytest.raises(asyncio.CancelledError) as cancelled:
        await waiting
    assert isinstance(cancelled.value.__cause__, ValueError)
