"""The check of the model at the start: the backends that pass, and the remedy of each failure."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import web

from bot.errors import StartupError
from bot.llm import openai
from bot.llm.openai import OpenAI
from bot.testing import PausedStep
from tests.support.openai_client import KEY, client, fails
from tests.support.openai_server import Fails, OpenAIServer, Says, says


async def test_the_check_passes_by_the_models_description(backend: OpenAIServer, model: OpenAI) -> None:
    """If the backend describes the model, the check does not ask the model."""
    assert await model.check()
    assert not backend.requests


@pytest.mark.parametrize("status", [401, 404, 405])
async def test_the_check_asks_a_model_without_a_description(backend: OpenAIServer, model: OpenAI, status: int) -> None:
    """If the backend has no descriptions, or the key may not read them, the check asks the model."""
    backend.card = lambda _: web.Response(status=status)
    backend.script(says("Hello!"))

    assert await model.check()
    backend.assert_done()


@pytest.mark.parametrize("passing", [fails(429), says(), fails(503), fails(500)])
async def test_the_check_ignores_temporary_failures(
    backend: OpenAIServer, model: OpenAI, passing: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A rate limit, an empty answer or an outage of the backend does not stop the start. The log says so."""
    backend.card = lambda _: web.Response(status=404)
    backend.script(passing, passing, passing)

    assert not await model.check()
    assert "model_busy" in caplog.text


async def test_the_check_does_not_wait_for_a_silent_backend(
    backend: OpenAIServer, model: OpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backend that accepts requests and sends nothing stops the start neither for long nor for good."""
    monkeypatch.setattr(openai, "CHECK_S", 0.1)
    backend.card = lambda _: web.Response(status=404)
    backend.script(Says((PausedStep(),)))
    assert not await model.check()


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
    """The error of a refused key, unknown model, empty account or wrong address is one line with a remedy."""
    backend.card = lambda _: card
    backend.script(failure, failure, failure)

    with pytest.raises(StartupError, match=named) as caught:
        await model.check()

    assert "\n" not in str(caught.value)
    assert KEY not in str(caught.value)


async def test_the_check_fails_where_no_server_listens(unused_tcp_port: int) -> None:
    """The error of an address without a server names the setting."""
    llm = client(f"http://127.0.0.1:{unused_tcp_port}/v1/")

    with pytest.raises(StartupError, match="OPENAI_BASE_URL"):
        await llm.check()
    await llm.aclose()


async def test_the_check_refuses_a_key_with_invalid_characters(backend: OpenAIServer) -> None:
    """A key with characters that cannot be sent is refused before any request."""
    llm = client(backend.base_url, api_key="“sk-quoted”")

    with pytest.raises(StartupError, match="OPENAI_API_KEY"):
        await llm.check()
    await llm.aclose()
