"""The bot's client for a test server with OpenAI's API, and a request for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.llm import Done
from bot.llm.openai import OpenAI
from bot.prompt.history import ChatMessage
from tests.support.openai_server import Fails

ASKED: list[ChatMessage] = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "SECRET printer"}]
KEY = "sk-made-up-1234"


def client(
    base_url: str,
    *,
    api_key: str | None = KEY,
    silence_s: float = 5.0,
    whole_s: float | None = None,
    max_streams: int = 10,
    tools: bool = True,
) -> OpenAI:
    """Return a client of this server. The caller closes it."""
    return OpenAI(
        model="asked-model",
        api_key=api_key,
        base_url=base_url,
        silence_s=silence_s,
        whole_s=whole_s,
        max_streams=max_streams,
        tools=tools,
    )


async def heard(llm: OpenAI) -> tuple[str, Done]:
    """Return the whole answer to ASKED."""
    *pieces, done = [piece async for piece in llm.stream(ASKED)]
    assert isinstance(done, Done)
    return "".join(map(str, pieces)), done


def fails(status: int, error: Mapping[str, Any] | str = "") -> Fails:
    """Return a failure that may be retried at once. Like some backends, it quotes the request and the key."""
    if not isinstance(error, str):
        error = {"message": f"SECRET {KEY}", **error}
    return Fails(status, error, {"retry-after-ms": "1"})
