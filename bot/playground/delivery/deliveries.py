"""Delivery of every event and interaction to the app, with Slack's timeout and retries.

Rule: Slack sends an event again when the app does not acknowledge it within three seconds: almost at once, then after
one minute and after five (docs.slack.dev/apis/events-api). It sends an interaction once. If that fails, the person
sees an error.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from bot.playground.delivery.delivery import Attempt, Delivery, NotAcknowledged, Transport
from bot.playground.delivery.event_payloads import event_callback, events_of
from bot.playground.delivery.interaction_payloads import payload_of
from bot.playground.delivery.outcomes import InteractionOutcomes
from bot.playground.workspace.changes import (
    Change,
    MessageBlockAction,
    MessageShortcutInvoked,
    SlashCommandInvoked,
    ViewBlockAction,
    ViewSubmitted,
)
from bot.playground.workspace.messages import Json
from bot.playground.workspace.workspace import Workspace

ACK_WITHIN_S = 3.0
RETRY_AFTER_S = (0.1, 60.0, 300.0)
_MAX_KEPT = 20_000


class Deliveries:
    """Every delivery to the app, pending or done, oldest first."""

    def __init__(
        self,
        workspace: Workspace,
        transport: Transport,
        outcomes: InteractionOutcomes,
        *,
        ack_within_s: float = ACK_WITHIN_S,
        retry_after_s: Sequence[float] = RETRY_AFTER_S,
    ) -> None:
        self._workspace = workspace
        self._transport = transport
        self._outcomes = outcomes
        self._ack_within_s = ack_within_s
        self._retry_after_s = retry_after_s
        self._deliveries: deque[Delivery] = deque(maxlen=_MAX_KEPT)
        self._pending: dict[int, Delivery] = {}  # by the identity of the delivery
        self._tasks: set[asyncio.Task[None]] = set()
        self._event_count = 0
        self._loop: asyncio.AbstractEventLoop
        self._unsubscribe: Callable[[], None] | None = None

    def start(self) -> None:
        """Deliver changes from now on, in the running loop, and resume the deliveries that `stop` interrupted."""
        self._loop = asyncio.get_running_loop()
        self._unsubscribe = self._workspace.subscribe(self._on_change)
        for delivery in self._pending.values():
            self._start_task(delivery)

    @property
    def pending(self) -> int:
        """How many deliveries are neither acknowledged nor given up, in constant time."""
        return len(self._pending)

    def all(self) -> list[Delivery]:
        """Return every delivery."""
        return list(self._deliveries)

    def events(self, event_type: str, **fields: object) -> list[Delivery]:
        """Return the deliveries of events with this type and these fields."""
        wanted = {"type": event_type, **fields}
        return [d for d in self._deliveries if d.event and wanted.items() <= _plain_fields(d.event).items()]

    def send(self, delivery: Delivery) -> Delivery:
        """Deliver a payload. Tests send payloads that no change of the workspace makes."""
        self._deliveries.append(delivery)
        self._pending[id(delivery)] = delivery
        self._start_task(delivery)
        return delivery

    def redeliver(self, delivery: Delivery, *, new_event_id: bool = False) -> Delivery:
        """Deliver an event again, as Slack does after an outage. With `new_event_id`, as a second event."""
        event_id = self._new_event_id() if new_event_id else delivery.payload["event_id"]
        return self.send(Delivery("events_api", {**delivery.payload, "event_id": event_id}))

    async def drain(self) -> None:
        """Return when every pending delivery is acknowledged or given up."""
        await asyncio.gather(*self._tasks)

    async def stop(self) -> None:
        """Stop delivering until the next `start`."""
        if self._unsubscribe:
            self._unsubscribe()
        self._unsubscribe = None
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _on_change(self, change: Change) -> None:
        workspace = self._workspace
        match change:
            case SlashCommandInvoked():
                self.send(Delivery("slash_commands", payload_of(workspace, change), change))
            case MessageShortcutInvoked() | MessageBlockAction() | ViewBlockAction() | ViewSubmitted():
                self.send(Delivery("interactive", payload_of(workspace, change), change))
            case _:
                for event in events_of(workspace, change):
                    self.send(Delivery("events_api", event_callback(workspace, event, self._new_event_id())))

    def _new_event_id(self) -> str:
        self._event_count += 1
        return f"Ev{self._event_count:010d}"

    def _start_task(self, delivery: Delivery) -> None:
        task = self._loop.create_task(self._deliver(delivery))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _deliver(self, delivery: Delivery) -> None:
        delays = (0.0, *self._retry_after_s) if delivery.kind == "events_api" else (0.0,)
        retry = True
        while retry and len(delivery.attempts) < len(delays):
            await asyncio.sleep(delays[len(delivery.attempts)])
            retry = await self._attempt(delivery)
        delivery.done = True
        del self._pending[id(delivery)]
        self._workspace.watch.changed()

    async def _attempt(self, delivery: Delivery) -> bool:
        """Make one attempt. Return whether Slack should retry."""
        retry_reason = delivery.attempts[-1].failure if delivery.attempts else None
        attempt = Attempt(len(delivery.attempts), retry_reason, self._workspace.clock())
        delivery.attempts.append(attempt)
        self._workspace.watch.changed()
        try:
            payload = await self._transport.deliver(delivery, attempt, self._ack_within_s)
        except NotAcknowledged as failure:
            attempt.failure = failure.reason
            self._outcomes.failed(delivery.interaction)
            self._workspace.watch.changed()
            return not failure.no_retry
        except asyncio.CancelledError:  # the playground stops
            attempt.failure = "connection_failed"
            raise
        attempt.acked_at = self._workspace.clock()
        self._outcomes.acknowledged(delivery.interaction, payload)
        self._workspace.watch.changed()
        return False


def _plain_fields(event: Json) -> dict[str, object]:
    return {name: value for name, value in event.items() if isinstance(value, str | bool | None)}
