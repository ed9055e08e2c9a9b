"""The steps of a day of the random suite, a class for each kind.

Rule: pure. A step names people, places, threads by their number in the day, and messages by their token.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

DIRECT = "dm"  # the place of direct messages

Address = Literal["mention", "reply", "aside"]  # an aside addresses somebody else
ResetBy = Literal["text", "mention", "shortcut", "command", "direct"]  # direct: all direct messages at once
SlackFault = Literal["refuse", "rate_limit", "lose_answer", "fail"]
ModelFault = Literal["unavailable", "rate_limited", "cut", "stall", "silence", "empty"]


@dataclass(frozen=True, slots=True)
class Says:
    """A person writes a message with a token of its own. In a new thread it is the first one."""

    token: str
    who: str
    place: str
    thread: int
    how: Address
    late_s: float = 0.0  # later messages overtake it


@dataclass(frozen=True, slots=True)
class Repeated:
    """Slack delivers a message again, perhaps as another event."""

    token: str
    new_event_id: bool


@dataclass(frozen=True, slots=True)
class Edits:
    """The author changes a message, but not its token."""

    token: str


@dataclass(frozen=True, slots=True)
class Deletes:
    """The author deletes a message."""

    token: str


@dataclass(frozen=True, slots=True)
class Stops:
    """A person stops the answer in a thread."""

    who: str
    thread: int
    how: Literal["text", "mention", "button"]


@dataclass(frozen=True, slots=True)
class Hushes:
    """A person has the bot listen only in a thread, or calls it back."""

    who: str
    thread: int
    typed: Literal["!quiet", "!back", "@attendant quiet", "@attendant back"]


@dataclass(frozen=True, slots=True)
class Resets:
    """A person resets a thread."""

    who: str
    thread: int
    how: ResetBy
    late_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Kills:
    """SIGKILL to a replica."""

    replica: int


@dataclass(frozen=True, slots=True)
class Ends:
    """SIGTERM to a replica."""

    replica: int


@dataclass(frozen=True, slots=True)
class Starts:
    """A replica starts, unless it runs."""

    replica: int


@dataclass(frozen=True, slots=True)
class LosesSockets:
    """Slack refreshes every connection, or all of them break."""

    politely: bool


@dataclass(frozen=True, slots=True)
class LosesAcks:
    """The next acknowledgements get lost, and Slack delivers again."""

    count: int


@dataclass(frozen=True, slots=True)
class SlackFails:
    """The next calls of a method fail."""

    method: str
    kind: SlackFault
    times: int


@dataclass(frozen=True, slots=True)
class SlackSlow:
    """The calls of a method take longer, for a while."""

    method: str
    after: bool  # Slack does the work, and its response is late
    seconds: float


@dataclass(frozen=True, slots=True)
class ModelFails:
    """The next requests to the model fail."""

    kind: ModelFault
    times: int


@dataclass(frozen=True, slots=True)
class DatabaseFails:
    """Another process locks SQLite for so long, or PostgreSQL ends every connection."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Rests:
    """Nothing happens until the bots have made so many calls to Slack, for at most so long."""

    calls: int
    most_s: float


Deed = Says | Repeated | Edits | Deletes | Stops | Hushes | Resets  # of people
Fate = Kills | Ends | Starts  # of a replica
Mishap = LosesSockets | LosesAcks | SlackFails | SlackSlow | ModelFails | DatabaseFails
Step = Deed | Fate | Mishap | Rests


@dataclass(frozen=True, slots=True)
class Day:
    """A day: its surroundings, and its steps from the first to the last."""

    seed: int
    database: Literal["sqlite", "postgresql"]
    streaming: Literal["auto", "off"]
    agent: bool  # declared one in Slack: its threads have a Stop button
    crowded: bool  # fewer turns may run at once than there are threads
    steps: tuple[Step, ...]

    def __str__(self) -> str:
        kinds = [word for word, holds in (("agent", self.agent), ("crowded", self.crowded)) if holds]
        return " · ".join([f"day {self.seed}", self.database, f"streaming {self.streaming}", *kinds])
