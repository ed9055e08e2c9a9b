"""How long a model is waited for: through each silence, and for an answer in all.

Rule: only words and thoughts break a silence. A backend that keeps a connection alive has said nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from bot.llm.stream_parser import StreamParser


async def texts(
    body: AsyncGenerator[bytes], completion: StreamParser, *, silence_s: float, whole_s: float
) -> AsyncGenerator[str]:
    """The answer's text, piece by piece, until it has ended or the body has.

    Raises TimeoutError after `silence_s` seconds without a word or a thought, and when the waiting comes to `whole_s`
    seconds in all. The time that the reader takes over a piece is not counted.
    """
    loop = asyncio.get_running_loop()
    left_s = whole_s
    while not completion.ended:
        began = loop.time()
        async with asyncio.timeout(min(silence_s, left_s)):
            text = await _sign_of_life(body, completion)
        if text is None:
            return
        left_s -= loop.time() - began
        if text:
            yield text


async def _sign_of_life(body: AsyncGenerator[bytes], completion: StreamParser) -> str | None:
    """The next text, empty while the model only thinks; None at the end."""
    async for data in body:
        text = completion.feed(data)
        if text or completion.thinking:
            return text
        if completion.ended:
            break
    return None
