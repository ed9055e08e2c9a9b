"""How much may be sent to the model: its window, the room kept for the answer, and what its answers taught of both.

Rule: no I/O. What is learnt is of one model and lives as long as the process.
"""

from __future__ import annotations

import copy
import logging
from dataclasses import dataclass

from bot.config.settings import Settings
from bot.errors import ConfigError
from bot.prompt.tokens import estimate_tokens

log = logging.getLogger(__name__)

RESERVE = 0.1  # of the window: what the estimate may miss, and what the backend adds
LEAST_ROOM = 100  # tokens: the newest message is shown, however large the persona
LEAST_WINDOW = 500  # tokens: no chat model has less, whatever its error says
HIGHEST_RATIO = 3.0
FORGOTTEN = 1 / 16  # of the ratio's excess, with each answer that was cheaper
TELLING = 500  # estimated tokens: what a request is known to cost besides its text hides the ratio of a smaller one
DROPPED_BELOW = 0.5  # of the estimate, which is never twice the truth: the backend saw only a part
TELLING_OF_DROPS = 2_000

# The windows of OpenAI's families: developers.openai.com/api/docs/models. Of the newest it is the part for input.
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
UNKNOWN_WINDOW = 16_384  # what most models that people run themselves have at least


def window_of(model: str) -> int:
    """The window, in tokens, of a model by its name; a careful one when the name is not known."""
    return _known(model) or UNKNOWN_WINDOW


def _known(model: str) -> int | None:
    name = model.rpartition("/")[2]  # routers put the maker's name before it
    known = [family for family in _WINDOWS if name.startswith(family)]
    return _WINDOWS[max(known, key=len)] if known else None


@dataclass(frozen=True, slots=True)
class Room:
    """Estimated tokens for what stands besides the persona."""

    tokens: int  # in all, now
    most: int  # for one text; a longer one is shown without its middle. It changes only with the window


class Budget:
    """How much may be sent to one model. What a request really cost corrects the estimate."""

    def __init__(self, *, window_tokens: int, answer_tokens: int, history_tokens: int) -> None:
        """`history_tokens` bounds what is sent besides the persona, however wide the window is."""
        self.window = window_tokens
        self._answer = answer_tokens
        self._history = history_tokens
        self.limit = 0  # tokens: the answer may be so long, whatever the window is
        self._ratio = 1.0  # real tokens to an estimated one: only ever more careful than the estimate
        self._warned = False

    def room(self, persona_tokens: int) -> Room:
        """The room besides a persona that is estimated at so many tokens."""
        return Room(self._besides(persona_tokens, self._ratio), self._besides(persona_tokens, 1.0))

    def widest(self, persona_tokens: int) -> int:
        """The room besides such a persona in the model's window alone, whatever a session may cost."""
        return self._in_window(persona_tokens, self._ratio)

    def of(self, model: str) -> Budget:
        """The budget of another model of this backend; its window is the same when its name is not known."""
        return Budget(
            window_tokens=_known(model) or self.window, answer_tokens=self._answer, history_tokens=self._history
        )

    @property
    def history_tokens(self) -> int:
        """So much is never exceeded besides the persona, whatever is learnt."""
        return self._history

    def for_answer(self, limit: int, window: int | None) -> Budget:
        """This budget as it is now, for a request whose answer may have so many tokens. It learns apart.

        `window` is what the backend said its window is, if it did.
        """
        made = copy.copy(self)
        made.window, made.limit = max(LEAST_WINDOW, min(self.window, window or self.window)), limit
        return made

    def learn(self, estimated: int, counted: int) -> None:
        """The backend counted so many tokens in a request that was estimated at that many."""
        if counted <= 0 or estimated < TELLING:
            return
        if estimated >= TELLING_OF_DROPS and counted < DROPPED_BELOW * estimated:
            self._warn_of_drops(estimated, counted)
            return
        observed = counted / estimated
        slower = self._ratio + (observed - self._ratio) * FORGOTTEN
        self._ratio = min(max(1.0, observed, slower), HIGHEST_RATIO)

    def exceeded(self, estimated: int, window: int | None) -> None:
        """The backend refused a request for its length. `window` is what it said its window is, if it did."""
        if estimated < TELLING:  # too small to exceed any: what the backend means cannot be known
            return
        if window is None or window > HIGHEST_RATIO * estimated:  # a number that cannot be the one
            window = int(estimated * self._ratio * (1 - RESERVE))
        self.window = max(LEAST_WINDOW, min(self.window, window))
        self._ratio = min(max(self._ratio, self.window / estimated), HIGHEST_RATIO)
        log.warning("the model's window was exceeded; it is taken for %s tokens now", self.window)

    def _besides(self, persona_tokens: int, ratio: float) -> int:
        return max(LEAST_ROOM, min(self._in_window(persona_tokens, ratio), int(self._history / ratio)))

    def _in_window(self, persona_tokens: int, ratio: float) -> int:
        answer = max(min(self._answer, self.window // 4), self.limit)
        return int((self.window * (1 - RESERVE) - answer) / ratio) - persona_tokens

    def _warn_of_drops(self, estimated: int, counted: int) -> None:
        if not self._warned:
            log.warning(
                "the backend counted %s tokens where about %s were sent: it seems to drop what exceeds its window; "
                "set MODEL_WINDOW_TOKENS to the window it really has",
                counted,
                estimated,
            )
        self._warned = True


def budget_for(settings: Settings, persona: str, *, besides: int) -> Budget:
    """The budget that the settings make. Raises ConfigError when persona and tools leave no room in the window.

    `besides` are the tokens of what a request holds besides messages.
    """
    window = settings.model_window_tokens or window_of(settings.openai_model)
    budget = Budget(window_tokens=window, answer_tokens=settings.answer_tokens, history_tokens=settings.history_tokens)
    if budget.room(estimate_tokens(persona) + besides).tokens <= LEAST_ROOM < settings.history_tokens:
        raise ConfigError(
            "MODEL_WINDOW_TOKENS",
            f"is taken for {window}, which persona and tools fill",
            "Shorten the persona, set OPENAI_TOOLS=off, or set the window if your model's is wider.",
        )
    return budget
