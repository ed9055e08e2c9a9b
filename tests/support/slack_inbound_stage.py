"""The stage of the inbound tests: the Bolt app, connected to a playground workspace, with a recording inbox."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from bot.access.access_rules import Standing
from bot.domain.events import Author, Event, Thread
from bot.domain.language import ENGLISH
from bot.domain.personal_data import ExportedMessage, PersonalDataExport
from bot.domain.preferences import NO_PREFERENCES, ModelsChange, Preferences, changed
from bot.domain.sessions import OpenSession, ResetOutcome
from bot.errors import StoreUnavailable
from bot.ops.logs import JsonFormatter
from bot.playground.playground_server import PlaygroundServer
from bot.playground.workspace.messages import Message
from bot.playground.workspace.people import Channel, Person
from bot.playground.workspace.workspace import Workspace
from bot.slack.client import open_client
from bot.slack.inbound.bolt_app import build_app
from bot.slack.inbound.socket_mode import CONNECTIONS
from bot.slack.inbound.transport import Transport, connect
from bot.slack.monotonic_clock import MonotonicClock
from bot.slack.port import Intake, PersonalRecords, SessionResets
from bot.slack.startup_checks import identify
from bot.testing import SettableClock
from tests.support.playground_stage import make_workspace, served
from tests.support.slack_stage import settings_of
from tests.support.timeouts import GENEROUS_S

E = TypeVar("E")

OPENED_AT = datetime(2026, 1, 1, 11, tzinfo=UTC)  # an hour before the clock of the stage


async def eventually(holds: Callable[[], bool]) -> None:
    """Wait for a state of the bot. For a state of the playground, use `Workspace.until`."""
    async with asyncio.timeout(GENEROUS_S):
        while not holds():
            await MonotonicClock().pause(0.01)  # the bot announces no state changes


def logged(caplog: pytest.LogCaptureFixture, event: str) -> list[dict[str, Any]]:
    """Return the fields of each log line of this event."""
    return [vars(record) for record in caplog.records if record.getMessage() == event]


def json_log(caplog: pytest.LogCaptureFixture) -> str:
    """Return all log lines with their fields, as an operator reads them."""
    return "\n".join(map(JsonFormatter().format, caplog.records))


class KnownPeople:
    """What Slack knows of people: by default all are members, and in no user group. Implements gatekeeper.People."""

    def __init__(self) -> None:
        self.standings: dict[str, Standing | None] = {}
        self.groups: dict[str, frozenset[str] | None] = {}

    async def standing(self, user_id: str) -> Standing | None:
        """See gatekeeper.People."""
        return self.standings.get(user_id, Standing())

    async def groups_of(self, user_id: str, groups: frozenset[str]) -> frozenset[str] | None:
        """See gatekeeper.People."""
        found = self.groups.get(user_id, frozenset())
        return None if found is None else found & groups


class RecordingInbox:
    """An inbox that records the calls of the Slack edge. Its sessions and personal data come from the test."""

    def __init__(self) -> None:
        self.accepted: list[Event] = []
        self.resets: list[tuple[str, str]] = []  # thread or session, user id
        self.sessions: list[OpenSession] = []
        self.kept: list[ExportedMessage] = []
        self.greeted: list[str] = []  # user ids
        self.noticed: list[str] = []  # user ids
        self.forgotten: list[str] = []  # user ids
        self.outcome = ResetOutcome.DONE
        self.saved_preferences: dict[str, Preferences] = {}
        self.languages: dict[str, str] = {}  # by user id
        self.failures_left = 0  # that many of the next calls fail
        self.failed_deliveries = 0
        self.accepting = asyncio.Event()  # an event is being accepted
        self.may_accept = asyncio.Event()
        self.may_accept.set()

    async def accept(self, event: Event) -> bool:
        self._maybe_fail()
        self.accepting.set()
        await self.may_accept.wait()
        self.accepted.append(event)
        return True

    def count_failed_delivery(self) -> None:
        self.failed_deliveries += 1

    async def reset(self, thread: Thread, author: Author) -> ResetOutcome:
        return self._record_reset(f"{thread.channel}:{thread.root}", author)

    async def reset_session(self, session_id: str, author: Author) -> ResetOutcome:
        return self._record_reset(session_id, author)

    async def reset_all(self, platform: str, workspace: str, channel: str, author: Author) -> int:
        self._record_reset(f"{platform}:{workspace}:{channel}", author)
        return len(self.sessions)

    async def open_sessions(self, platform: str, workspace: str, channel: str, author: Author) -> list[OpenSession]:
        del platform, workspace, author
        self._maybe_fail()
        return [session for session in self.sessions if session.thread.channel == channel][:50]  # like Inbox

    async def preferences(self, platform: str, workspace: str, user_id: str) -> Preferences:
        del platform, workspace
        self._maybe_fail()
        return self.saved_preferences.get(user_id, NO_PREFERENCES)

    async def language(self, platform: str, workspace: str, user_id: str) -> str:
        del platform, workspace
        return self.languages.get(user_id, ENGLISH)

    async def set_preferences(
        self, platform: str, workspace: str, user_id: str, wishes: Mapping[str, object]
    ) -> Preferences:
        kept = self.saved_preferences[user_id] = changed(await self.preferences(platform, workspace, user_id), wishes)
        return kept

    async def claim_greeting(self, platform: str, workspace: str, user_id: str, channel: str) -> bool:
        del platform, workspace, channel
        self._maybe_fail()
        self.greeted.append(user_id)
        return self.greeted.count(user_id) == 1

    async def claim_access_notice(self, platform: str, workspace: str, user_id: str) -> bool:
        del platform, workspace
        self._maybe_fail()
        self.noticed.append(user_id)
        return self.noticed.count(user_id) == 1

    async def last_change(self, platform: str, workspace: str, user_id: str) -> ModelsChange | None:
        del platform, workspace, user_id
        self._maybe_fail()
        return None

    async def undo_change(self, platform: str, workspace: str, user_id: str, turn_id: int) -> bool:
        del platform, workspace, user_id, turn_id
        self._maybe_fail()
        return False

    async def count_open(self, platform: str, workspace: str, channel: str, author: Author) -> int:
        del platform, workspace, author
        self._maybe_fail()
        return sum(session.thread.channel == channel for session in self.sessions)

    async def forget(self, platform: str, workspace: str, author: Author) -> int:
        self._maybe_fail()
        self.forgotten.append(f"{platform}:{workspace}:{author.id}")
        return len(self.kept)

    async def export(self, platform: str, workspace: str, author: Author) -> PersonalDataExport:
        del platform, workspace, author
        self._maybe_fail()
        return PersonalDataExport(tuple(self.kept))

    def _record_reset(self, what: str, author: Author) -> ResetOutcome:
        self._maybe_fail()
        self.resets.append((what, author.id))
        return self.outcome

    def _maybe_fail(self) -> None:
        if self.failures_left:
            self.failures_left -= 1
            raise StoreUnavailable("the database is away")


@dataclass
class RecordingServices:
    """A work layer whose services are one recording inbox. Implements port.WorkLayer."""

    inbox: Intake
    sessions: SessionResets
    personal_data: PersonalRecords


def services_of(inbox: RecordingInbox) -> RecordingServices:
    """Return the services that this inbox implements, all of them."""
    return RecordingServices(inbox, inbox, inbox)


@dataclass
class InboundStage:
    """The Bolt app, connected to a playground workspace."""

    server: PlaygroundServer
    inbox: RecordingInbox
    transport: Transport
    client: AsyncWebClient

    @property
    def workspace(self) -> Workspace:
        """The state of the make-believe Slack."""
        return self.server.workspace

    @property
    def ana(self) -> Person:
        """A person who writes to the bot."""
        return next(iter(self.workspace.people.values()))

    @property
    def help_desk(self) -> Channel:
        """The channel in which she writes."""
        return self.workspace.channel("help-desk")

    def accepted(self, kind: type[E]) -> list[E]:
        """Return the accepted events of this kind."""
        return [event for event in self.inbox.accepted if isinstance(event, kind)]

    async def acknowledged(self) -> None:
        """Wait until every delivery is acknowledged."""
        await self.workspace.until(lambda: all(delivery.acknowledged for delivery in self.server.deliveries.all()))

    def ephemerals(self, channel: Channel | None = None) -> list[Message]:
        """Return the ephemeral messages to Ana in a channel."""
        return self.workspace.ephemerals(self.ana, channel or self.help_desk)

    def only_ephemeral(self) -> str:
        """Return the text of the only ephemeral message to Ana in her channel."""
        (message,) = self.ephemerals()
        return message.text

    def add_sessions(self, *openings: str, channel: str = "help-desk") -> list[str]:
        """Give Ana open sessions with these first messages. Return the session ids."""
        team, channel_id = self.workspace.team.id, self.workspace.channel(channel).id
        for number, opening in enumerate(openings):
            thread = Thread("slack", team, channel_id, f"1712345678.{number:06}")
            self.inbox.sessions.append(OpenSession(f"session-{number}", thread, OPENED_AT, OPENED_AT, 1, opening))
        return [session.id for session in self.inbox.sessions]

    async def command(self, command: str, text: str = "", channel: Channel | None = None) -> Message:
        """Send a slash command, and return its ephemeral reply."""
        before = len(self.ephemerals(channel))
        self.workspace.interactions.command(self.ana, channel or self.help_desk, command, text)
        await self.workspace.until(lambda: len(self.ephemerals(channel)) > before)
        return self.ephemerals(channel)[-1]


@asynccontextmanager
async def inbound_stage(*, dm_sessions: str = "rolling", **server_options: Any) -> AsyncIterator[InboundStage]:
    """Connect a Bolt app to a playground workspace by Socket Mode."""
    async with AsyncExitStack() as stack:
        playground = await stack.enter_async_context(served(make_workspace(), **server_options))
        inbox = RecordingInbox()
        settings = settings_of(playground, dm_sessions=dm_sessions)
        client = await stack.enter_async_context(open_client(settings))
        app = build_app(
            client,
            await identify(client),
            services_of(inbox),
            settings,
            clock=SettableClock().now,
            people=KnownPeople(),
        )
        transport = await stack.enter_async_context(connect(app, settings))
        await playground.workspace.until(lambda: playground.sockets.open == CONNECTIONS)
        yield InboundStage(playground, inbox, transport, client)
