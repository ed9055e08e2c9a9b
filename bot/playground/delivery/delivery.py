"""One delivery to the app, its attempts, and the port that every transport implements."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

from bot.playground.workspace.changes import Interaction
from bot.playground.workspace.messages import Json

DeliveryKind = Literal["events_api", "slash_commands", "interactive"]  # the `type` of a Socket Mode envelope


class NotAcknowledged(Exception):  # noqa: N818 - the app's failure, not the playground's
    """An attempt failed. `reason` is Slack's retry reason. With `no_retry` the app asks for no further attempt."""

    def __init__(self, reason: str, *, no_retry: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.no_retry = no_retry


@dataclass(slots=True)
class Attempt:
    """One attempt at a delivery. `number` counts from 0. `retry_reason` is the failure of the previous attempt."""

    number: int
    retry_reason: str | None
    at: datetime
    acked_at: datetime | None = None
    failure: str | None = None


@dataclass(slots=True)
class Delivery:
    """One payload for the app and its attempts."""

    kind: DeliveryKind
    payload: Json
    interaction: Interaction | None = None  # None for an event
    attempts: list[Attempt] = field(default_factory=list)
    done: bool = False  # acknowledged or given up

    @property
    def acknowledged(self) -> bool:
        """Whether the app has acknowledged it."""
        return any(attempt.acked_at for attempt in self.attempts)

    @property
    def event(self) -> Json:
        """The event in the payload, empty for an interaction."""
        event: Json = self.payload.get("event", {}) if self.kind == "events_api" else {}
        return event


class Transport(Protocol):
    """A way to the app: Socket Mode or HTTP."""

    async def deliver(self, delivery: Delivery, attempt: Attempt, timeout_s: float) -> Any:
        """Send a payload to the app. Return the payload of its acknowledgement.

        Raises NotAcknowledged when the app does not acknowledge it within `timeout_s`.
        """
