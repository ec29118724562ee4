"""Work for a caller that ends when the caller leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import anyio

from gateway.guard import ClientGone
from gateway.problems import Refused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.types import Receive

T = TypeVar("T")


async def while_present(receive: Receive, work: Callable[[], Awaitable[T]]) -> T:
    """Return what the work makes; the request's body must have been read.

    Args:
        receive: the request's, for the message that says that the caller left.
        work: is cancelled when that happens, which frees the back end's slot.

    Raises:
        ClientGone: the caller left first.
        Refused: the work was refused.
    """
    results: list[T] = []
    refused: Refused | None = None
    async with anyio.create_task_group() as tasks:

        async def leave_with_caller() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            tasks.cancel_scope.cancel()

        tasks.start_soon(leave_with_caller)
        try:
            results.append(await work())
        except Refused as caught:
            # Not raised through the task group, which would wrap it in a group of exceptions.
            refused = caught
        tasks.cancel_scope.cancel()
    if refused is not None:
        raise refused
    if not results:
        raise ClientGone
    return results[0]
