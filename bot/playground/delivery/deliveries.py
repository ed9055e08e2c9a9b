"""Bringing events and gestures to the app: each until it is acknowledged, at most four times.

Rule: an event not acknowledged in three seconds is sent again, almost at once, then after one and after five minutes
(docs.slack.dev/apis/events-api). A gesture is sent once; if that fails, the person is told.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

from bot.playground.delivery.event_payloads import event_callback, events_of
from bot.playground.delivery.gesture_payloads import payload_of
from bot.playground.delivery.responses import NO_CONNECTION, Responses
from bot.playground.workspace.changes import (
    ButtonPressed,
    Change,
    CommandGiven,
    Gesture,
    ShortcutChosen,
    ViewButtonPressed,
    ViewGesture,
    ViewSubmitted,
)
from bot.playground.workspace.messages import Json
from bot.playground.workspace.people import Channel, Person
from bot.playground.workspace.workspace import Workspace

Kind = Literal["events_api", "slash_commands", "interactive"]

ACK_WITHIN_S = 3.0
RETRY_AFTER_S = (0.1, 60.0, 300.0)
_KEPT = 20_000


class NotAcknowledged(Exception):  # noqa: N818 - the app's silence, not a fault of ours
    """A delivery failed for this reason, in Slack's words; `final` when the app wants it not again."""

    def __init__(self, reason: str, *, final: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.final = final


@dataclass(slots=True)
class Attempt:
    """One try at a delivery. `number` counts from 0; `retry_reason` is why the one before failed."""

    number: int
    retry_reason: str | None
    at: datetime
    acked_at: datetime | None = None
    failure: str | None = None


@dataclass(slots=True)
class Delivery:
    """One payload for the app, and what became of it."""

    kind: Kind
    payload: Json
    gesture: Gesture | ViewGesture | None = None
    attempts: list[Attempt] = field(default_factory=list)
    done: bool = False  # acknowledged or given up

    @property
    def acknowledged(self) -> bool:
        """Whether the app has confirmed it."""
        return any(attempt.acked_at for attempt in self.attempts)

    @property
    def event(self) -> Json:
        """The event inside, empty for a gesture."""
        event: Json = self.payload.get("event", {}) if self.kind == "events_api" else {}
        return event


class Transport(Protocol):
    """One way to the app: Socket Mode or HTTP."""

    async def deliver(self, delivery: Delivery, attempt: Attempt, within_s: float) -> Any:
        """Bring a payload to the app. Returns what came with the acknowledgement.

        Raises NotAcknowledged when there is none within that time.
        """


class Deliveries:
    """Everything that is or was on its way to the app, oldest first."""

    def __init__(
        self,
        workspace: Workspace,
        transport: Transport,
        responses: Responses,
        *,
        ack_within_s: float = ACK_WITHIN_S,
        retry_after_s: Sequence[float] = RETRY_AFTER_S,
    ) -> None:
        self._workspace = workspace
        self._transport = transport
        self._responses = responses
        self._ack_within_s = ack_within_s
        self._retry_after_s = retry_after_s
        self._made: deque[Delivery] = deque(maxlen=_KEPT)
        self._pending: dict[int, Delivery] = {}  # not yet acknowledged or given up, by their identity
        self._under_way: set[asyncio.Task[None]] = set()
        self._count = 0
        self._loop: asyncio.AbstractEventLoop
        self._unsubscribe: Callable[[], None] | None = None

    def start(self) -> None:
        """Deliver what happens from now on, in the running loop, and go on with what `stop` left."""
        self._loop = asyncio.get_running_loop()
        self._unsubscribe = self._workspace.subscribe(self._on_change)
        for delivery in self._pending.values():
            self._begin(delivery)

    @property
    def pending(self) -> int:
        """How many are neither acknowledged nor given up; quick, however many there were."""
        return len(self._pending)

    def all(self) -> list[Delivery]:
        """Every delivery."""
        return list(self._made)

    def events(self, event_type: str, **fields: object) -> list[Delivery]:
        """The deliveries of events of this type, whose event has these fields."""
        wanted = {"type": event_type, **fields}
        return [made for made in self._made if made.event and wanted.items() <= _flat(made.event).items()]

    def redeliver(self, delivery: Delivery, *, new_event_id: bool = False) -> Delivery:
        """Send an event once more, as after an outage; or with an id of its own, as two events of one message."""
        event_id = self._event_id() if new_event_id else delivery.payload["event_id"]
        return self._send(Delivery("events_api", {**delivery.payload, "event_id": event_id}))

    async def ended(self) -> None:
        """Return when all that is under way is acknowledged or given up."""
        await asyncio.gather(*self._under_way)

    async def stop(self) -> None:
        """Deliver nothing more, until the next `start`."""
        if self._unsubscribe:
            self._unsubscribe()
        self._unsubscribe = None
        tasks = tuple(self._under_way)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _on_change(self, change: Change) -> None:
        workspace = self._workspace
        match change:
            case CommandGiven():
                self._send(Delivery("slash_commands", payload_of(workspace, change), change))
            case ShortcutChosen() | ButtonPressed() | ViewButtonPressed() | ViewSubmitted():
                self._send(Delivery("interactive", payload_of(workspace, change), change))
            case _:
                for event in events_of(workspace, change):
                    self._send(Delivery("events_api", event_callback(workspace, event, self._event_id())))

    def _event_id(self) -> str:
        self._count += 1
        return f"Ev{self._count:010d}"

    def _send(self, delivery: Delivery) -> Delivery:
        self._made.append(delivery)
        self._pending[id(delivery)] = delivery
        self._begin(delivery)
        return delivery

    def _begin(self, delivery: Delivery) -> None:
        task = self._loop.create_task(self._deliver(delivery))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _deliver(self, delivery: Delivery) -> None:
        delays = (0.0, *self._retry_after_s) if delivery.kind == "events_api" else (0.0,)
        again = True
        while again and len(delivery.attempts) < len(delays):
            await asyncio.sleep(delays[len(delivery.attempts)])
            again = await self._try(delivery)
        delivery.done = True
        del self._pending[id(delivery)]
        self._workspace.watch.changed()

    async def _try(self, delivery: Delivery) -> bool:
        """Whether it should be tried again."""
        reason = delivery.attempts[-1].failure if delivery.attempts else None
        attempt = Attempt(len(delivery.attempts), reason, self._workspace.clock())
        delivery.attempts.append(attempt)
        self._workspace.watch.changed()
        try:
            answer = await self._transport.deliver(delivery, attempt, self._ack_within_s)
        except NotAcknowledged as failure:
            attempt.failure = failure.reason
            self._tell_person(delivery)
            self._workspace.watch.changed()
            return not failure.final
        except asyncio.CancelledError:  # Slack's side stops
            attempt.failure = "connection_failed"
            raise
        attempt.acked_at = self._workspace.clock()
        self._take_answer(delivery, answer)
        return False

    def _take_answer(self, delivery: Delivery, answer: Any) -> None:
        # Only a slash command's acknowledgement may carry a message, and only a modal's what becomes of it.
        match delivery.gesture:
            case CommandGiven() as given if answer:
                if error := self._responses.answer(given.response, answer):
                    self._fail(given.person, given.channel, given.command, error)
            case ViewSubmitted() as submitted:
                self._responses.conclude(submitted, answer)
        self._workspace.watch.changed()

    def _tell_person(self, delivery: Delivery) -> None:
        match delivery.gesture:
            case None:
                return
            case ViewButtonPressed(person=person) | ViewSubmitted(person=person):
                self._workspace.surfaces.complain(person, {"": NO_CONNECTION})
            case CommandGiven(person=person, channel=channel, command=what):
                self._fail(person, channel, what, "operation_timeout")
            case ShortcutChosen(person=person, channel=channel) | ButtonPressed(person=person, channel=channel):
                self._fail(person, channel, self._workspace.app.manifest.app_name, "operation_timeout")

    def _fail(self, person: Person, channel: Channel, what: str, error: str) -> None:
        self._workspace.show(person, channel, f'{what} failed with the error "{error}"')


def _flat(event: Json) -> dict[str, object]:
    return {name: value for name, value in event.items() if isinstance(value, str | bool | None)}
