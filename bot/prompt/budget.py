"""Budget: how many tokens may be sent to a model, from its window, the room for the answer, and the usage it reported.

Rule: no I/O. A budget learns about one model, and its corrections are lost when the process ends.
"""

from __future__ import annotations

import copy
import logging
import math
from dataclasses import dataclass

from bot.config.settings import Settings
from bot.errors import ConfigError
from bot.prompt.tokens import estimate_tokens

log = logging.getLogger(__name__)

RESERVE = 0.1  # of the window: for errors of the estimate, and tokens that the backend adds
LEAST_ROOM = 100  # tokens: the newest message is shown even beside a large persona
LEAST_WINDOW = 500  # tokens: no chat model has less, even if its error says so
MAX_RATIO = 3.0
DECAY = 1 / 16  # of the distance to a lower ratio, with each cheaper request
MIN_SAMPLE = 500  # estimated tokens: in smaller requests the overhead hides the ratio
# A backend that counts less than half of the estimate dropped a part; the estimate is never that wrong.
DROPPED_BELOW = 0.5
MIN_SAMPLE_OF_DROPS = 2_000

# The windows of OpenAI's families: developers.openai.com/api/docs/models. For the newest, the part for input.
_WINDOWS = {
    "gpt-3.5": 16_385,
    "gpt-4": 8_192,
    "gpt-4-turbo": 128_000,
    "gpt-4o": 128_000,
    "gpt-4.1": 1_047_576,
    "gpt-5": 272_000,
    "gpt-6": 272_000,
    "o1": 200_000,
    "o3": 200_000,
    "o4": 200_000,
}
UNKNOWN_WINDOW = 16_384  # most self-hosted models have at least this


def window_of(model: str) -> int:
    """Return a model's window in tokens by its name; a cautious one for an unknown name."""
    return _known_window(model) or UNKNOWN_WINDOW


def _known_window(model: str) -> int | None:
    name = model.rpartition("/")[2]  # routers prefix the vendor's name
    families = [family for family in _WINDOWS if name.startswith(family)]
    return _WINDOWS[max(families, key=len)] if families else None


@dataclass(frozen=True, slots=True)
class Room:
    """The room in a prompt besides the persona, in estimated tokens."""

    tokens: int  # for all messages
    most: int  # for one message, which is shortened beyond that; it changes only with the window


class Budget:
    """How much may be sent to one model. The usage that the backend reports corrects the estimates."""

    def __init__(self, *, window_tokens: int, answer_tokens: int, history_tokens: int) -> None:
        """`history_tokens` limits the request without its persona, in any window."""
        self.window = window_tokens
        self._answer = answer_tokens
        self._history = history_tokens
        self.limit = 0  # tokens: the answer's limit, when a request sets one
        self._ratio = 1.0  # counted tokens per estimated one, at least 1
        self._warned = False

    def room(self, persona_tokens: int) -> Room:
        """Return the room besides a persona of this many estimated tokens."""
        return Room(self._room(persona_tokens, self._ratio), self._room(persona_tokens, 1.0))

    def widest(self, persona_tokens: int) -> int:
        """Return the room besides the persona that the window alone allows, without the limit of `history_tokens`."""
        return self._in_window(persona_tokens, self._ratio)

    def expected(self, estimated: int) -> int:
        """Return how many tokens the backend will probably count for this many estimated ones."""
        return math.ceil(estimated * self._ratio)

    def of(self, model: str) -> Budget:
        """Return the budget of another model of this backend. A model with an unknown name has the same window."""
        return Budget(
            window_tokens=_known_window(model) or self.window, answer_tokens=self._answer, history_tokens=self._history
        )

    @property
    def answer_tokens(self) -> int:
        """The tokens that are set aside for an answer without a limit of its own."""
        return min(self._answer, self.window // 4)

    @property
    def history_tokens(self) -> int:
        """The limit of a request without its persona."""
        return self._history

    def for_answer(self, limit: int, window: int | None) -> Budget:
        """Return a copy for one request, whose answer is limited to this many tokens.

        `window` is the window that the backend's error named, if any.
        """
        budget = copy.copy(self)
        budget.window, budget.limit = max(LEAST_WINDOW, min(self.window, window or self.window)), limit
        return budget

    def learn(self, estimated: int, counted: int) -> None:
        """Adjust the ratio to a request that was estimated at some tokens and counted at others."""
        if counted <= 0 or estimated < MIN_SAMPLE:
            return
        if estimated >= MIN_SAMPLE_OF_DROPS and counted < DROPPED_BELOW * estimated:
            self._warn_of_drops(estimated, counted)
            return
        observed = counted / estimated
        decayed = self._ratio + (observed - self._ratio) * DECAY
        self._ratio = min(max(1.0, observed, decayed), MAX_RATIO)

    def exceeded(self, estimated: int, window: int | None) -> None:
        """Lower the window after the backend refused a request as too long.

        `window`: the window that its error named, if any.
        """
        if estimated < MIN_SAMPLE:  # too small to exceed any window: the error must mean something else
            return
        if window is None or window > MAX_RATIO * estimated:  # the number cannot be the window
            window = int(estimated * self._ratio * (1 - RESERVE))
        self.window = max(LEAST_WINDOW, min(self.window, window))
        self._ratio = min(max(self._ratio, self.window / estimated), MAX_RATIO)
        log.warning("model_window_exceeded", extra={"window_tokens": self.window})

    def _room(self, persona_tokens: int, ratio: float) -> int:
        return max(LEAST_ROOM, min(self._in_window(persona_tokens, ratio), int(self._history / ratio)))

    def _in_window(self, persona_tokens: int, ratio: float) -> int:
        answer = max(self.answer_tokens, self.limit)
        return int((self.window * (1 - RESERVE) - answer) / ratio) - persona_tokens

    def _warn_of_drops(self, estimated: int, counted: int) -> None:
        if not self._warned:
            log.warning(
                "prompt_truncated_by_backend",
                extra={
                    "counted_tokens": counted,
                    "estimated_tokens": estimated,
                    "remedy": "set MODEL_WINDOW_TOKENS to the model's real window",
                },
            )
        self._warned = True


def budget_for(settings: Settings, persona: str, *, extra_tokens: int) -> Budget:
    """Return the budget for the settings. Raises ConfigError when persona and tools leave no room in the window.

    `extra_tokens` are the tokens in a request that are not in its messages (tools).
    """
    window = settings.model_window_tokens or window_of(settings.openai_model)
    budget = Budget(window_tokens=window, answer_tokens=settings.answer_tokens, history_tokens=settings.history_tokens)
    if budget.room(estimate_tokens(persona) + extra_tokens).tokens <= LEAST_ROOM < settings.history_tokens:
        raise ConfigError(
            "MODEL_WINDOW_TOKENS",
            f"is {window}, which the persona and the tools fill",
            "Shorten the persona, set OPENAI_TOOLS=off, or set it to your model's window if that is wider.",
        )
    return budget
