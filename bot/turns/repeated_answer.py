"""An answer that an earlier attempt at the turn got from the model: it is shown without asking the model again."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

from bot.llm import NO_PARAMETERS, Parameters, Piece
from bot.prompt.history import ChatMessage
from bot.store.settlement import KeptAnswer


class RepeatedAnswer:
    """An LLM that repeats a kept answer. Implements llm.LLM."""

    def __init__(self, kept: KeptAnswer) -> None:
        self._kept = kept

    async def stream(
        self, messages: Sequence[ChatMessage], parameters: Parameters = NO_PARAMETERS
    ) -> AsyncGenerator[Piece, None]:
        """See LLM.stream. The request does not matter."""
        del messages, parameters
        yield self._kept.text
        yield self._kept.done
