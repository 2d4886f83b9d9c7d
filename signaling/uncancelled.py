"""Work that a cancelled task still does to its end, such as clean-up."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def uncancelled(work: Coroutine[Any, Any, T]) -> T:
    """Do work to its end, however often the task that waits for it is cancelled.

    A connection that is given up while it gathers addresses, or closes, would leave its sockets open. The work needs an
    end of its own: nothing cuts it short.

    Returns:
        What the work returns.

    Raises:
        asyncio.CancelledError: the task was cancelled meanwhile; the work is done.
    """
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled from task.exception()
    return task.result()
