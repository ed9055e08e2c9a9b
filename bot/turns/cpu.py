"""CPU work on large texts: one thread does all of it, because it would hold the event loop.

Rule: one thread for the whole process. Several would compete with the loop for Python's lock, and delay it by each.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

INLINE = 32_000  # characters or bytes: work on less takes a few milliseconds, and is done at once

_THREAD = ThreadPoolExecutor(1, thread_name_prefix="cpu")


async def compute(size: int, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Return the function's result. `size` is the length of the texts that it works on."""
    if size <= INLINE:
        return function(*args, **kwargs)
    return await asyncio.get_running_loop().run_in_executor(_THREAD, partial(function, *args, **kwargs))
