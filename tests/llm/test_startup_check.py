"""The check of the model at start: what passes, and the remedy of each failure."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import web

from bot.errors import StartupError
from bot.llm.openai import OpenAI
from tests.support.openai_client import KEY, client, fails
from tests.support.openai_server import Fails, OpenAIServer, says


async def test_the_check_passes_by_the_card_alone(backend: OpenAIServer, model: OpenAI) -> None:
    """A model whose description the backend returns is not asked anything."""
    await model.check()

    assert not backend.requests


@pytest.mark.parametrize("status", [401, 404, 405])
async def test_the_check_asks_the_model_where_there_is_no_card(
    backend: OpenAIServer, model: OpenAI, status: int
) -> None:
    """A backend without descriptions, or a key that may not read them, passes when the model itself answers."""
    backend.card = lambda _: web.Response(status=status)
    backend.script(says("Hello!"))

    await model.check()

    backend.assert_done()


@pytest.mark.parametrize("passing", [fails(429), says()])
async def test_the_check_forgives_what_will_pass(backend: OpenAIServer, model: OpenAI, passing: Any) -> None:
    """A rate limit or an empty answer shows that key, address and model are right."""
    backend.card = lambda _: web.Response(status=404)
    backend.script(passing, passing, passing)

    await model.check()


@pytest.mark.parametrize(
    ("card", "failure", "named"),
    [
        (web.Response(status=401), fails(401), "OPENAI_API_KEY"),
        (web.Response(status=404), fails(404), "OPENAI_MODEL"),
        (web.Response(status=404), fails(429, {"code": "insufficient_quota"}), "billing"),
        (web.Response(text="<html>Welcome</html>"), fails(404, "<html>"), "OPENAI_BASE_URL"),
    ],
)
async def test_the_check_names_the_remedy(
    backend: OpenAIServer, model: OpenAI, card: web.Response, failure: Fails, named: str
) -> None:
    """A refused key, an unknown model, an empty account and a wrong address are one line each, with a remedy."""
    backend.card = lambda _: card
    backend.script(failure, failure, failure)

    with pytest.raises(StartupError, match=named) as caught:
        await model.check()

    assert "\n" not in str(caught.value)
    assert KEY not in str(caught.value)


async def test_the_check_finds_nobody_there(unused_tcp_port: int) -> None:
    """The error of an address where nothing listens names its setting."""
    llm = client(f"http://127.0.0.1:{unused_tcp_port}/v1/")

    with pytest.raises(StartupError, match="OPENAI_BASE_URL"):
        await llm.check()
    await llm.aclose()


async def test_the_check_sees_a_key_that_was_copied_badly(backend: OpenAIServer) -> None:
    """A key with characters that cannot be sent is refused before any request."""
    llm = client(backend.base_url, api_key="“sk-quoted”")

    with pytest.raises(StartupError, match="OPENAI_API_KEY"):
        await llm.check()
    await llm.aclose()
