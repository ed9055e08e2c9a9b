"""The tests of the Slack edge run in virtual time, so that its limits and pauses hold on any machine."""

from asyncio import AbstractEventLoop
from collections.abc import Callable

from tests.support.virtual_time import VirtualTimeLoop


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], AbstractEventLoop]]:
    """Give every test of this folder a loop that lives in virtual time."""
    return {"virtual": VirtualTimeLoop}
