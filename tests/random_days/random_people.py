"""The random suite's people: they write, delete, stop and reset. The module records the answers that the bot owes."""

from __future__ import annotations

import asyncio
import dataclasses
import math
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import assert_never

from bot.manifest import START_OVER
from bot.playground.delivery.delivery import Delivery
from bot.playground.playground_server import PlaygroundServer
from bot.playground.workspace.messages import Message
from bot.playground.workspace.people import Channel, Person
from bot.playground.workspace.rules import NotAllowed
from bot.playground.workspace.workspace import Workspace
from tests.random_days import random_model
from tests.random_days.random_model import Ending
from tests.random_days.random_steps import DIRECT, Deed, Deletes, Edits, Hushes, Repeated, Resets, Says, Stops
from tests.random_days.random_verdict import Duty, Interruption, Judge, Place, Question

_EVENTS = "events_api"
_DELIVERED_WITHIN_S = 30.0
_GESTURE_S = 5.0  # so long after a gesture was reported as failed, the bot may still carry it out


@dataclass(slots=True)
class _Written:
    """A person's message, and the deliveries of it and of its deletion."""

    question: Question
    typed: str
    engages: bool
    deliveries: Sequence[Delivery]
    deletion: Sequence[Delivery] = field(default_factory=tuple)

    @property
    def is_stored(self) -> bool:
        """Whether Slack got an acknowledgement."""
        return self.question.duty == "must" and _acked_at(self.deliveries) < math.inf


@dataclass(slots=True)
class _Command:
    """A stop or a reset, and its deliveries."""

    what: Interruption
    deliveries: Sequence[Delivery]
    channel: str | None = None  # all threads of the channel, also those begun before the delivery


class People:
    """Everybody in the workspace."""

    def __init__(
        self, workspace: Workspace, server: PlaygroundServer, settled: Callable[[], Awaitable[AbstractSet[str]]]
    ) -> None:
        """`settled()` returns the `ts` of the messages whose turns have ended."""
        self._workspace = workspace
        self._server = server
        self._settled = settled
        self._roots: dict[int, Message] = {}
        self._written: dict[str, _Written] = {}
        self._commands: list[_Command] = []
        self._hushed: set[Place] = set()  # threads that have been quiet, and may be

    async def do(self, step: Deed) -> None:
        """Take the step, unless it is impossible."""
        with suppress(NotAllowed, KeyError):
            match step:
                case Says():
                    await self._say(step)
                case Repeated():
                    self._repeat(step)
                case Edits():
                    self._edit(step)
                case Deletes():
                    self._delete(step)
                case Stops():
                    await self._stop(step, await self._settled())
                case Hushes():
                    await self._hush(step)
                case Resets():
                    await self._reset(step, await self._settled())
                case _:
                    assert_never(step)

    def judge(self, *, crowded: bool) -> Judge:
        """Return a judge who knows all messages, and when the bot acknowledged each."""
        return Judge([self._known(written) for written in self._written.values()], self._interruptions(), crowded)

    async def _say(self, step: Says) -> None:
        """Write a message. With `late_s`, messages written meanwhile overtake it."""
        person, root = self._workspace.person(step.who), self._roots.get(step.thread)
        channel = self._workspace.dm(person) if step.place == DIRECT else self._workspace.channel(step.place)
        typed = _opening(step) + f"{step.token}, please"
        duty = self._duty(step, root)
        message, deliveries = await self._post(person, channel, typed, root, step.late_s)
        self._roots.setdefault(step.thread, message)
        question = Question(token=step.token, message=message, duty=duty, at=float(message.ts))
        engages = step.place == DIRECT or step.how == "mention"
        self._written[step.token] = _Written(question, typed, engages, deliveries)

    def _repeat(self, step: Repeated) -> None:
        """Have Slack deliver a message once more, in each of its shapes."""
        for delivery in self._written[step.token].deliveries:
            self._server.deliveries.redeliver(delivery, new_event_id=step.new_event_id)

    def _edit(self, step: Edits) -> None:
        """Change a message, but not its token."""
        written = self._written[step.token]
        self._workspace.edit(*self._own(written), written.typed + " (in other words)")

    def _delete(self, step: Deletes) -> None:
        """Delete a message."""
        written, at = self._written[step.token], float(self._workspace.new_ts())
        person, message = self._own(written)
        written.deletion = self._delivered(lambda: self._workspace.delete(person, message))
        written.question = dataclasses.replace(written.question, deleted=at)

    async def _stop(self, step: Stops, settled: AbstractSet[str]) -> None:
        person, root = self._workspace.person(step.who), self._roots[step.thread]
        channel, places = self._workspace.channels[root.channel], frozenset({(root.channel, root.ts)})
        answered = self._answered(places, settled)
        if step.how == "button":
            at = float(self._workspace.new_ts())
            deliveries = self._delivered(lambda: self._workspace.interactions.stop(person, channel, root.ts))
            self._commands.append(_Command(Interruption(places=places, at=at, answered=answered), deliveries))
            return
        typed = "!stop" if step.how == "text" else "@attendant stop"
        message, deliveries = await self._post(person, channel, typed, root)
        what = Interruption(
            places=places, at=float(message.ts), answered=answered, written_in=(channel.id, root.ts), spares_later=True
        )
        self._commands.append(_Command(what, deliveries))

    async def _hush(self, step: Hushes) -> None:
        person, root = self._workspace.person(step.who), self._roots[step.thread]
        channel, place = self._workspace.channels[root.channel], (root.channel, root.ts)
        owed = step.typed.startswith("@") or self._is_engaged(place)
        if channel.kind != "im":
            self._hushed.add(place)
        message, deliveries = await self._post(person, channel, step.typed, root)
        what = Interruption(places=frozenset(), at=float(message.ts), written_in=place, owed=owed, quiet=True)
        self._commands.append(_Command(what, deliveries))

    async def _reset(self, step: Resets, settled: AbstractSet[str]) -> None:
        person, root = self._workspace.person(step.who), self._roots[step.thread]
        channel = self._workspace.channels[root.channel]
        match step.how:
            case "shortcut":
                self._gesture(
                    root, None, settled, partial(self._workspace.interactions.shortcut, person, root, START_OVER)
                )
            case "command":
                give = partial(self._workspace.interactions.command, person, channel, "/reset", "all")
                self._gesture(root, channel.id, settled, give)
            case "direct":
                await self._reset_in_writing(step, person, self._workspace.dm(person), None, settled)
            case _:
                await self._reset_in_writing(step, person, channel, root, settled)

    async def _reset_in_writing(
        self, step: Resets, person: Person, channel: Channel, root: Message | None, settled: AbstractSet[str]
    ) -> None:
        places = frozenset({(root.channel, root.ts)}) if root else self._places(channel.id)
        owed = root is None or step.how == "mention" or self._is_engaged((root.channel, root.ts))
        sure, answered = all(self._took_part(person, each) for each in places), self._answered(places, settled)
        typed = "@attendant reset" if step.how == "mention" and channel.kind != "im" else "!reset"
        message, deliveries = await self._post(person, channel, typed, root, step.late_s)
        what = Interruption(
            places=places,
            at=float(message.ts),
            answered=answered,
            written_in=(channel.id, message.root),
            owed=owed,
            reset=True,
            sure=sure,
            spares_later=root is not None,
        )
        self._commands.append(_Command(what, deliveries, None if root else channel.id))

    def _gesture(self, root: Message, channel: str | None, settled: AbstractSet[str], do: Callable[[], None]) -> None:
        """Reset this thread, or all threads of the channel, by a gesture."""
        places = self._places(channel) if channel else frozenset({(root.channel, root.ts)})
        at, answered = float(self._workspace.new_ts()), self._answered(places, settled)
        what = Interruption(places=places, at=at, answered=answered, reset=True)
        self._commands.append(_Command(what, self._delivered(do), channel))

    async def _post(
        self, person: Person, channel: Channel, typed: str, root: Message | None, late_s: float = 0.0
    ) -> tuple[Message, Sequence[Delivery]]:
        posted: list[Message] = []
        faults, thread_ts = self._server.faults, root.ts if root else None
        hold = faults.hold(_EVENTS)
        try:
            deliveries = self._delivered(lambda: posted.append(self._workspace.post(person, channel, typed, thread_ts)))
            if late_s:
                await self._workspace.until(lambda: hold.waiting >= len(deliveries), timeout_s=_DELIVERED_WITHIN_S)
        finally:
            faults.hold(_EVENTS).release()  # later deliveries pass
            asyncio.get_running_loop().call_later(late_s, hold.release)
        return posted[0], deliveries

    def _delivered(self, do: Callable[[], None]) -> Sequence[Delivery]:
        """Call `do`. Return the deliveries that it causes."""
        before = len(self._server.deliveries.all())
        do()
        return self._server.deliveries.all()[before:]

    def _duty(self, step: Says, root: Message | None) -> Duty:
        if step.how == "aside":
            return "never"
        place = (root.channel, root.ts) if root is not None else None
        if step.how == "mention" or (place and place not in self._hushed and self._is_engaged(place)):
            return "must"
        return "may"

    def _own(self, written: _Written) -> tuple[Person, Message]:
        """Return the message as it reads now, and its author."""
        was = written.question.message
        message = self._workspace.transcript.find(was.channel, was.ts)
        if message is None:
            raise NotAllowed("That message is not there any more.")
        return self._workspace.people[was.user], message

    def _is_engaged(self, place: Place) -> bool:
        return any(each.engages and each.is_stored for each in self._in({place}))

    def _took_part(self, person: Person, place: Place) -> bool:
        """Return whether this person certainly has a message in the session that is open there now."""
        resets = (each for each in self._acked_interruptions() if each.reset and place in each.places)
        since = max((each.acked for each in resets), default=0.0)
        mine = (each for each in self._in({place}) if each.question.message.user == person.id and each.is_stored)
        return any(each.question.at > since and each.question.deleted == math.inf for each in mine)

    def _answered(self, places: AbstractSet[Place], settled: AbstractSet[str]) -> frozenset[str]:
        """Return the tokens in these threads whose turns have ended with an answer in Slack."""
        texts = (
            message.shown_text
            for place in places
            for message in self._workspace.thread(self._workspace.channels[place[0]], place[1])
        )
        readings = [random_model.read(text) for text in texts]
        said = {token for each in readings if each.ending in {Ending.WHOLE, Ending.TOLD} for token in each.asked}
        return frozenset(each.question.token for each in self._in(places) if each.question.message.ts in settled) & said

    def _places(self, channel: str) -> frozenset[Place]:
        return frozenset((root.channel, root.ts) for root in self._roots.values() if root.channel == channel)

    def _in(self, places: AbstractSet[Place]) -> Iterable[_Written]:
        return (each for each in self._written.values() if each.question.place in places)

    def _known(self, written: _Written) -> Question:
        question, stored = written.question, _acked_at(written.deliveries)
        root = self._workspace.transcript.find(*question.place)
        if root is None:  # the bot cannot answer in a thread that is gone
            return dataclasses.replace(question, duty="may")
        acked = _acked_at(written.deletion)
        return dataclasses.replace(
            question, stored=stored if question.duty == "must" else math.inf, deletion_acked=acked
        )

    def _acked_interruptions(self) -> Iterator[Interruption]:
        for each in self._commands:
            places = each.what.places | (self._places(each.channel) if each.channel else frozenset())
            yield dataclasses.replace(each.what, acked=_acked_at(each.deliveries), places=places)

    def _interruptions(self) -> list[Interruption]:
        """Return all stops and resets. A reset is not `sure` if another one came meanwhile."""
        acked = list(self._acked_interruptions())
        return [
            dataclasses.replace(
                each,
                sure=each.sure and not any(each.at < other.at < each.acked for other in acked if other.reset),
            )
            for each in acked
        ]


def _opening(step: Says) -> str:
    if step.place == DIRECT or step.how == "reply":
        return ""
    return "@attendant " if step.how == "mention" else "@Dalia Haddad "


def _acked_at(deliveries: Sequence[Delivery]) -> float:
    """Return when Slack got the first acknowledgement. For a gesture, add the time in which it may be carried out."""
    acked = [attempt.acked_at for each in deliveries for attempt in each.attempts if attempt.acked_at]
    if acked:
        first = min(acked).timestamp()
        return first + _GESTURE_S if any(each.interaction for each in deliveries) else first
    tried = [attempt.at for each in deliveries for attempt in each.attempts if each.interaction]
    return max(tried).timestamp() + 2 * _GESTURE_S if tried else math.inf
