"""Budget: how many tokens may be sent to a model, from its window, the room for the answer, and the usage it reported.

Rule: no I/O. A budget learns about one model, and its corrections are lost when the process ends. A narrower window
that it learnt is tried again wider after some time, so that one odd refusal does not narrow it for ever.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

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
# The time until a narrowed window is tried again. It doubles with each refusal until a wide request is answered.
FIRST_PAUSE, LONGEST_PAUSE = timedelta(minutes=10), timedelta(days=1)
# A backend that counts less than half of the estimate dropped a part; the estimate is never that wrong.
DROPPED_BELOW = 0.5
MIN_SAMPLE_OF_DROPS = 2_000
_SYSTEM_CLOCK = partial(datetime.now, UTC)

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

    def __init__(
        self,
        *,
        window_tokens: int,
        answer_tokens: int,
        history_tokens: int,
        clock: Callable[[], datetime] = _SYSTEM_CLOCK,
        base: Budget | None = None,
    ) -> None:
        """`history_tokens` limits the request without its persona, in any window.

        With `base`, the corrections of that budget count too.
        """
        self._own = _Corrections(window_tokens, clock)
        self._answer = answer_tokens
        self._history = history_tokens
        self._clock = clock
        self._base = base
        self.limit = 0  # tokens: the answer's limit, when a request sets one
        self._warned = False

    @property
    def window(self) -> int:
        """The window in tokens, as far as it is known by now."""
        return min(self._own.window, self._base.window) if self._base is not None else self._own.window

    @property
    def ratio(self) -> float:
        """Counted tokens per estimated one, at least 1."""
        return max(self._own.ratio, self._base.ratio) if self._base is not None else self._own.ratio

    def room(self, persona_tokens: int) -> Room:
        """Return the room besides a persona of this many estimated tokens."""
        return Room(self._room(persona_tokens, self.ratio), self._room(persona_tokens, 1.0))

    def widest(self, persona_tokens: int) -> int:
        """Return the room besides the persona that the window alone allows, without the limit of `history_tokens`."""
        return self._in_window(persona_tokens, self.ratio)

    def for_caller(self, model: str | None) -> Budget:
        """Return a budget for one caller's requests, whose corrections do not change this one.

        `model` is another model of this backend, or None for the same one. A model with an unknown name has the same
        window.
        """
        known = _known_window(model) if model is not None else None
        return self._derived(known or self._own.widest, None if known else self)

    @property
    def answer_tokens(self) -> int:
        """The tokens that are set aside for an answer without a limit of its own."""
        return min(self._answer, self.window // 4)

    @property
    def history_tokens(self) -> int:
        """The limit of a request without its persona."""
        return self._history

    def for_answer(self, limit: int, window: int | None) -> Budget:
        """Return a budget for one request, whose answer is limited to this many tokens.

        `window` is the window that the backend's error named, if any.
        """
        budget = self._derived(max(LEAST_WINDOW, min(self.window, window or self.window)), self)
        budget.limit = limit
        return budget

    def learn(self, estimated: int, counted: int) -> None:
        """Adjust the ratio to a request that was estimated at some tokens and counted at others."""
        if counted <= 0 or estimated < MIN_SAMPLE:
            return
        if estimated >= MIN_SAMPLE_OF_DROPS and counted < DROPPED_BELOW * estimated:
            self._warn_of_drops(estimated, counted)
            return
        self._own.learn(counted, counted / estimated)

    def exceeded(self, estimated: int, window: int | None) -> None:
        """Lower the window after the backend refused a request as too long.

        `window`: the window that its error named, if any.
        """
        if estimated < MIN_SAMPLE:  # too small to exceed any window: the error must mean something else
            return
        if window is None or window > MAX_RATIO * estimated:  # the number cannot be the window
            window = int(estimated * self.ratio * (1 - RESERVE))
        window = max(LEAST_WINDOW, min(self.window, window))
        self._own.narrow(window, max(self.ratio, window / estimated))

    def _derived(self, window_tokens: int, base: Budget | None) -> Budget:
        return Budget(
            window_tokens=window_tokens,
            answer_tokens=self._answer,
            history_tokens=self._history,
            clock=self._clock,
            base=base,
        )

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


class _Corrections:
    """The window and the ratio as the backend has corrected them. A refusal counts for some time."""

    def __init__(self, window: int, clock: Callable[[], datetime]) -> None:
        self.widest = window
        self._clock = clock
        self._window = window
        self._ratio = 1.0
        self._narrowed_at: datetime | None = None  # None: no refusal counts
        self._narrowest = window  # of the last refusal
        self._pause = FIRST_PAUSE

    @property
    def window(self) -> int:
        """The window in tokens."""
        self._try_again()
        return self._window

    @property
    def ratio(self) -> float:
        """Counted tokens per estimated one, at least 1."""
        self._try_again()
        return self._ratio

    def learn(self, counted: int, ratio: float) -> None:
        """Adjust to a request that the backend took, and counted at so many tokens."""
        if counted > self._narrowest:  # the last refusal was not about the window
            self._pause = FIRST_PAUSE
        decayed = self._ratio + (ratio - self._ratio) * DECAY
        self._ratio = min(max(1.0, ratio, decayed), MAX_RATIO)

    def narrow(self, window: int, ratio: float) -> None:
        """Use this window and this ratio for a while."""
        self._window = self._narrowest = window
        self._ratio = min(ratio, MAX_RATIO)
        self._narrowed_at = self._clock()
        fields = {"window_tokens": window, "retry_in_s": int(self._pause.total_seconds())}
        log.warning("model_window_exceeded", extra=fields)

    def _try_again(self) -> None:
        """Use the widest window again when the last refusal was long ago. Each further refusal counts for longer."""
        if self._narrowed_at is None or timedelta() <= self._clock() - self._narrowed_at < self._pause:
            return  # below zero the clock was set back
        self._window, self._ratio, self._narrowed_at = self.widest, 1.0, None
        self._pause = min(2 * self._pause, LONGEST_PAUSE)
        log.info("model_window_tried_again", extra={"window_tokens": self.widest})


def budget_for(
    settings: Settings, persona: str, *, extra_tokens: int, clock: Callable[[], datetime] = _SYSTEM_CLOCK
) -> Budget:
    """Return the budget for the settings. Raises ConfigError when persona and tools leave no room in the window.

    `extra_tokens` are the tokens in a request that are not in its messages (tools).
    """
    window = settings.model_window_tokens or window_of(settings.openai_model)
    budget = Budget(
        window_tokens=window, answer_tokens=settings.answer_tokens, history_tokens=settings.history_tokens, clock=clock
    )
    if budget.room(estimate_tokens(persona) + extra_tokens).tokens <= LEAST_ROOM < settings.history_tokens:
        raise ConfigError(
            "MODEL_WINDOW_TOKENS",
            f"is {window}, which the persona and the tools fill",
            "Shorten the persona, set OPENAI_TOOLS=off, or set it to your model's window if that is wider.",
        )
    return budget
