"""The days of the random suite, each drawn from its seed.

Rule: pure. A seed always draws the same day. The world skips a step that turns out to be impossible.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import get_args

from tests.random_days.random_steps import (
    DIRECT,
    Address,
    DatabaseFails,
    Day,
    Deletes,
    Edits,
    Ends,
    Hushes,
    Kills,
    LosesAcks,
    LosesSockets,
    ModelFails,
    ModelFault,
    Repeated,
    ResetBy,
    Resets,
    Rests,
    Says,
    SlackFails,
    SlackFault,
    SlackSlow,
    Starts,
    Step,
    Stops,
)

MOST_KILLS = 8  # fewer than MAX_ATTEMPTS, so that no turn may be given up
_IN_CHANNEL = {"help-desk": ("ana", "ben", "chidi", "dalia"), "it-team": ("ana", "chidi")}
_ADDRESSES: Sequence[Address] = ("reply",) * 7 + ("mention",) * 2 + ("aside",)
_RESETS: Sequence[ResetBy] = ("text",) * 8 + ("mention", "shortcut") * 2 + ("command", "direct")


def drawn(seed: int) -> Day:
    """Return the day of this seed. Four neighbours cover both databases with both ways to show an answer."""
    rng = random.Random(seed)  # noqa: S311 - a day repeats itself
    return Day(
        seed,
        "postgresql" if seed % 2 else "sqlite",
        "off" if seed // 2 % 2 else "auto",
        agent=rng.random() < 0.3,
        crowded=rng.random() < 0.3,
        steps=tuple(_Drawing(rng).steps(rng.randint(50, 110))),
    )


# The methods that may fail, and how. The bot has another way to show the answer in each case.
_FAULTS: dict[str, tuple[SlackFault, ...]] = {
    "assistant.threads.setStatus": ("refuse", "rate_limit", "fail"),
    "chat.startStream": ("refuse", "rate_limit", "lose_answer", "fail"),
    "chat.appendStream": ("refuse", "rate_limit", "lose_answer", "fail"),
    "chat.stopStream": ("rate_limit", "lose_answer", "fail"),
    "chat.postMessage": ("rate_limit", "lose_answer", "fail"),
    "chat.update": ("rate_limit", "lose_answer", "fail"),
    "chat.delete": ("rate_limit", "lose_answer", "fail"),
    "conversations.replies": ("rate_limit", "lose_answer", "fail"),
    "users.info": ("refuse", "rate_limit", "fail"),
    "apps.connections.open": ("rate_limit", "fail"),
}


class _Drawing:
    """The threads and messages drawn so far, because later steps refer to them."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._threads: list[tuple[str, str]] = []  # the place and the first author
        self._tokens: list[str] = []
        self._thread_of: dict[str, int] = {}
        self._kills = 0

    def steps(self, count: int) -> Iterator[Step]:
        kinds = {
            self._open: 14,
            self._reply: 28,
            self._burst: 5,
            self._rest: 22,
            self._repeat: 5,
            self._edit: 3,
            self._delete: 4,
            self._stop: 5,
            self._hush: 4,
            self._reset: 7,
            self._replica: 12,
            self._line: 4,
            self._slack: 9,
            self._model: 7,
            self._database: 3,
        }
        yield from self._open()
        for draw in self._rng.choices(list(kinds), list(kinds.values()), k=count):
            yield from draw()

    def _open(self) -> Iterator[Step]:
        place = self._rng.choice([*_IN_CHANNEL, DIRECT, "help-desk"])
        who = self._someone(place)
        self._threads.append((place, who))
        yield self._says(len(self._threads) - 1, who, "mention" if self._rng.random() < 0.9 else "aside")

    def _reply(self) -> Iterator[Step]:
        recent = range(max(0, len(self._threads) - 6), len(self._threads))
        thread = self._rng.choice(recent)
        place, opener = self._threads[thread]
        how: Address = self._rng.choice(_ADDRESSES)
        yield self._says(thread, opener if place == DIRECT or self._rng.random() < 0.6 else self._someone(place), how)

    def _burst(self) -> Iterator[Step]:
        for _ in range(self._rng.randint(2, 6)):
            yield from self._rng.choice([self._reply, self._reply, self._open])()

    def _says(self, thread: int, who: str, how: Address) -> Says:
        self._tokens.append(f"q{len(self._tokens):03d}")
        self._thread_of[self._tokens[-1]] = thread
        place = self._threads[thread][0]
        late_s = round(self._rng.uniform(0.2, 2.0), 1) if self._rng.random() < 0.08 else 0.0
        return Says(self._tokens[-1], who, place, thread, "mention" if place == DIRECT else how, late_s)

    def _repeat(self) -> Iterator[Step]:
        yield Repeated(self._rng.choice(self._tokens), self._rng.random() < 0.5)

    def _edit(self) -> Iterator[Step]:
        yield Edits(self._rng.choice(self._tokens[-8:]))

    def _delete(self) -> Iterator[Step]:
        """Yield a deletion. Often its author continues in the thread."""
        token = self._rng.choice(self._tokens[-8:])
        yield Deletes(token)
        thread = self._thread_of[token]
        if self._rng.random() < 0.5:
            yield from (Rests(0, 1.0), self._says(thread, self._threads[thread][1], "mention"))

    def _stop(self) -> Iterator[Step]:
        thread, who = self._place()
        yield Stops(who, thread, self._rng.choice(["text", "mention", "button", "button"]))

    def _hush(self) -> Iterator[Step]:
        """Yield a `!quiet`, and most often its end."""
        thread, who = self._place()
        yield Hushes(who, thread, self._rng.choice(["!quiet", "!quiet", "@attendant quiet"]))
        for _ in range(self._rng.randint(0, 2)):
            yield from (self._says(thread, who, "reply"), Rests(0, 0.3))
        if self._rng.random() < 0.7:
            yield Hushes(who, thread, self._rng.choice(["!back", "@attendant back"]))

    def _reset(self) -> Iterator[Step]:
        """Yield a reset, most often of a message just sent, by its author, who then continues."""
        thread, who = self._place()
        goes_on = self._rng.random() < 0.7
        if goes_on:
            yield from (self._says(thread, who, "mention"), Rests(0, 1.0))
        how: ResetBy = self._rng.choice(_RESETS)
        late_s = round(self._rng.uniform(0.2, 2.0), 1) if self._rng.random() < 0.3 else 0.0
        yield Resets(who, thread, how, late_s if how in {"text", "mention"} else 0.0)
        if goes_on:
            yield from (Rests(0, 1.0), self._says(thread, who, "reply"))

    def _replica(self) -> Iterator[Step]:
        replica, starts = self._rng.randint(0, 1), Starts(self._rng.randint(0, 1))
        if self._rng.random() < 0.4:
            yield starts
        elif self._rng.random() < 0.7 and self._kills < MOST_KILLS:
            self._kills += 1
            yield from self._burst()
            yield Rests(self._rng.randint(1, 12), 1.0)  # so that it dies while it answers
            yield Kills(replica)
        else:
            yield Ends(replica)
        if self._rng.random() < 0.5:
            yield Starts(replica)

    def _line(self) -> Iterator[Step]:
        if self._rng.random() < 0.5:
            yield LosesAcks(self._rng.randint(1, 4))
        else:
            yield LosesSockets(self._rng.random() < 0.5)

    def _slack(self) -> Iterator[Step]:
        method = self._rng.choice(list(_FAULTS))
        if self._rng.random() < 0.3:
            yield SlackSlow(method, self._rng.random() < 0.5, round(self._rng.uniform(0.1, 0.7), 1))
        else:
            yield SlackFails(method, self._rng.choice(_FAULTS[method]), self._rng.randint(1, 3))

    def _model(self) -> Iterator[Step]:
        yield ModelFails(self._rng.choice(get_args(ModelFault)), self._rng.choice([1, 1, 2, 4]))

    def _database(self) -> Iterator[Step]:
        yield DatabaseFails(round(self._rng.uniform(0.5, 3.0), 1))

    def _rest(self) -> Iterator[Step]:
        if self._rng.random() < 0.05:
            yield Rests(0, 7.0)  # time for a takeover
        else:
            yield Rests(self._rng.randint(0, 6), self._rng.choice([0.1, 0.3, 0.3, 1.0, 3.0]))

    def _place(self) -> tuple[int, str]:
        thread = self._rng.randrange(max(0, len(self._threads) - 6), len(self._threads))
        place, opener = self._threads[thread]
        return thread, opener if self._rng.random() < 0.7 else self._someone(place, opener)

    def _someone(self, place: str, opener: str = "") -> str:
        if place == DIRECT:
            return opener or self._rng.choice(_IN_CHANNEL["help-desk"])
        return self._rng.choice(_IN_CHANNEL[place])
