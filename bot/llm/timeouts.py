"""How long a model is waited for: through each silence, and for an answer in all.

Rule: only words and thoughts break a silence. A backend that keeps a connection alive has said nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from bot.llm.stream_parser import StreamParser


class TimedReader:
    """Reads the text of one answer from its body, within two time limits."""

    def __init__(
        self, body: AsyncGenerator[bytes], completion: StreamParser, *, silence_s: float, whole_s: float
    ) -> None:
        """`silence_s`: the longest wait for a word or a thought. `whole_s`: all waits together."""
        self.body = body
        self.completion = completion
        self._silence_s = silence_s
        self._left_s = whole_s

    async def next(self) -> str | None:
        """Return the next text; None when the answer, or the body, has ended.

        Only time spent here counts, not the time that the caller takes over a text. Raises TimeoutError.
        """
        loop = asyncio.get_running_loop()
        while not self.completion.ended:
            began = loop.time()
            async with asyncio.timeout(min(self._silence_s, self._left_s)):
                text = await self._sign_of_life()
            self._left_s -= loop.time() - began
            if text or text is None:
                return text
        return None

    async def _sign_of_life(self) -> str | None:
        """Return the next text, empty while the model only thinks; None at the end."""
        async for data in self.body:
            text = self.completion.feed(data)
            if text or self.completion.thinking:
                return text
            if self.completion.ended:
                break
        return None
