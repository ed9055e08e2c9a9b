"""CPU work on large texts, which would hold the event loop: one thread does what platforms wait for, one all the rest.

Rule: two threads for the whole process. More would compete with the loop for Python's lock, and delay it by each. A
person in Slack does not wait for the requests of API callers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import ParamSpec, Protocol, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

INLINE = 32_000  # characters or bytes: work on less takes a few milliseconds, and is done at once

_THREAD = ThreadPoolExecutor(1, thread_name_prefix="cpu")
_PLATFORMS_THREAD = ThreadPoolExecutor(1, thread_name_prefix="platforms-cpu")


class Compute(Protocol):
    """One of the two functions below."""

    async def __call__(self, size: int, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T: ...


async def compute(size: int, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Return the function's result. `size` is the length of the texts that it works on."""
    return await _compute(_THREAD, size, partial(function, *args, **kwargs))


async def compute_for_platform(size: int, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Return the function's result, for a turn on a platform. See `compute`."""
    return await _compute(_PLATFORMS_THREAD, size, partial(function, *args, **kwargs))


async def _compute(thread: Executor, size: int, function: Callable[[], T]) -> T:
    return function() if size <= INLINE else await asyncio.get_running_loop().run_in_executor(thread, function)


@dataclass(frozen=True, slots=True)
class CpuWork:
    """The work on one answer's texts: their length, and the function that does it."""

    size: int
    compute: Compute = compute
