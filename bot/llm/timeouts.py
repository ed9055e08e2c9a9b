"""The two timeouts of an answer: between two pieces of it, and for all of it.

Rule: only text and reasoning restart the first timeout. Comments that keep the connection alive do not.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from bot.llm.stream_parser import StreamParser


class TimedReader:
    """Reads the text of one answer from its body, within two time limits."""

    def __init__(
        self,
        body: AsyncGenerator[bytes],
        completion: StreamParser,
        *,
        silence_s: float,
        whole_s: float,
        first_s: float | None = None,
    ) -> None:
        """`silence_s`: the longest wait for a piece of text or reasoning. `whole_s`: all waits together.

        `first_s`: the longest wait for the first piece, if it differs.
        """
        self.body = body
        self.completion = completion
        self._silence_s = silence_s
        self._next_s = silence_s if first_s is None else first_s
        self._thinks = False
        self._left_s = whole_s

    async def next(self) -> str | None:
        """Return the next text; "" where reasoning begins; None when the answer, or the body, has ended.

        Only time spent here counts, not the time that the caller takes over a text. Raises TimeoutError.
        """
        loop = asyncio.get_running_loop()
        while not self.completion.ended:
            began = loop.time()
            async with asyncio.timeout(min(self._next_s, self._left_s)):
                text = await self._next_piece()
            self._left_s -= loop.time() - began
            self._next_s = self._silence_s
            thought, self._thinks = self._thinks, text == ""
            if text != "" or not thought:
                return text
        return None

    async def _next_piece(self) -> str | None:
        """Return the next text, which is empty for a piece of reasoning; None at the end."""
        async for data in self.body:
            text = self.completion.feed(data)
            if text or self.completion.thinking:
                return text
            if self.completion.ended:
                break
        return None
