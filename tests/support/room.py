"""The room of the dialogue tests: the whole bot in the playground, with an OpenAI-shaped model.

A dialogue reads: `thread = ana.mentions("my VPN is down")`, `await thread.answers(1)`, `thread.says("still down")`.
"""

from __future__ import annotations

import random
import re
import socket
import textwrap
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import aiohttp

from bot.config.settings import Settings
from bot.playground.playground_server import PlaygroundServer
from bot.playground.workspace import view_kit
from bot.playground.workspace.file_sharing import share
from bot.playground.workspace.messages import Message
from bot.playground.workspace.people import Channel, Person
from bot.playground.workspace.sample import harbour
from bot.playground.workspace.workspace import Workspace
from bot.prompt.marks import NOTE_ENDS
from bot.services import PlatformServices
from bot.slack.views.home_tab import EDIT_PREFERENCES
from bot.testing import PausedStep, SettableClock
from tests.support.narrow_model import asks_for_summary, summary
from tests.support.openai_server import OpenAIServer, Reply, Request, says
from tests.support.playground_stage import SHIPPED
from tests.support.timeouts import GENEROUS_S


def recites(request: Request) -> Reply:
    """Reply with the whole conversation in the request, so that the answer shows the bot's memory.

    A summary of the conversation holds only the facts.
    """
    if asks_for_summary(request.body["messages"]):
        return says(summary(request.body["messages"]))
    return says("I was shown: ", " | ".join(shown(request)))


def shown(request: Request) -> list[str]:
    """Return the conversation in a request: all messages but the persona, without the note on the newest author."""
    return [_NOTE.sub("", text_of(message)) for message in request.body["messages"] if message["role"] != "system"]


def text_of(message: Mapping[str, Any]) -> str:
    """Return the text of a message in a request, without its images."""
    content = message["content"]
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def images_in(request: Request) -> list[str]:
    """Return the addresses of all images in a request."""
    contents = [message["content"] for message in request.body["messages"]]
    parts = [part for content in contents if not isinstance(content, str) for part in content]
    return [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]


def note_in(request: Request) -> str:
    """Return the note on the author that stands with the newest message of a request; "" without one."""
    newest = [message["content"] for message in request.body["messages"] if message["role"] == "user"][-1]
    found = _NOTE.search(newest)
    return textwrap.dedent(found["note"]) if found else ""


_NOTE = re.compile(rf"^\[Until “.*\]\n\n(?P<note>(?:  .*\n)+)\n{re.escape(NOTE_ENDS)}\n\n", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Talk:
    """A thread from one person's side."""

    room: Room
    person: Person
    channel: Channel
    root: str

    def says(self, text: str, by: Guest | None = None, **how: Any) -> Message:
        """Reply in the thread."""
        person = by.person if by else self.person
        return self.room.workspace.post(person, self.channel, text, self.root, **how)

    def edits(self, message: Message | None, text: str) -> Message:
        """Edit a message of this person's; without one, the thread's first."""
        return self.room.workspace.edit(self.person, message or self.opening, text)

    def deletes(self, message: Message | None = None) -> None:
        """Delete a message of this person's; without one, the thread's first."""
        self.room.workspace.delete(self.person, message or self.opening)

    @property
    def opening(self) -> Message:
        """The thread's first message."""
        found = self.room.workspace.transcript.find(self.channel.id, self.root)
        assert found is not None
        return found

    async def reads(self, *texts: str) -> None:
        """Wait until the texts of the bot's messages in the thread are these."""
        await self.room.until(lambda: self.texts() == [*texts] and not any(m.streaming_since for m in self.messages()))

    def messages(self) -> list[Message]:
        """Return the bot's messages in the thread."""
        app_id = self.room.workspace.app.bot_id
        return [message for message in self.room.workspace.thread(self.channel, self.root) if message.bot_id == app_id]

    def texts(self) -> list[str]:
        """Return the texts of the bot's messages in the thread."""
        return [message.shown_text for message in self.messages()]

    async def answers(self, count: int) -> list[str]:
        """Wait until the bot has given so many whole answers in the thread. Return their texts."""
        await self.room.until(
            lambda: len(self.messages()) >= count and not any(m.streaming_since for m in self.messages())
        )
        assert len(self.messages()) == count, self.texts()
        return self.texts()


@dataclass(frozen=True, slots=True)
class Guest:
    """A person of the workspace who talks to the bot."""

    room: Room
    person: Person

    def posts(self, text: str, channel: str = "help-desk", **how: Any) -> Talk:
        """Write in a channel, not in a thread."""
        place = self.room.workspace.channel(channel)
        return self.talk(self.room.workspace.post(self.person, place, text, **how))

    def mentions(self, text: str, channel: str = "help-desk") -> Talk:
        """Write to the bot in a channel, not in a thread."""
        return self.posts(f"@attendant {text}", channel)

    def writes(self, text: str) -> Talk:
        """Write to the bot directly."""
        return self.posts(text, self.room.workspace.dm(self.person).name)

    def shares(self, text: str, channel: str = "", *, files: Mapping[str, bytes] | None = None, **more: bytes) -> Talk:
        """Share files with a comment, in a channel or directly. `notes_txt=` is the content of notes.txt."""
        workspace = self.room.workspace
        place = workspace.channel(channel) if channel else workspace.dm(self.person)
        named = {name[::-1].replace("_", ".", 1)[::-1]: content for name, content in {**(files or {}), **more}.items()}
        return self.talk(share(workspace, self.person, place, text, files=named))

    def talk(self, message: Message) -> Talk:
        """Return the thread of a message from this person's side."""
        return Talk(self.room, self.person, self.room.workspace.channels[message.channel], message.root)

    async def ephemerals(self, channel: str, count: int = 1) -> list[Message]:
        """Wait for so many ephemeral messages to this person in the channel. Return them."""
        place = self.room.workspace.channel(channel)
        await self.room.until(lambda: len(self.room.workspace.ephemerals(self.person, place)) >= count)
        return self.room.workspace.ephemerals(self.person, place)

    async def commands(self, command: str, text: str = "", channel: str = "help-desk") -> Message:
        """Give a slash command. Wait for the reply to this person, and return it."""
        place = self.room.workspace.channel(channel)
        before = len(self.room.workspace.ephemerals(self.person, place))
        self.room.workspace.interactions.command(self.person, place, command, text)
        return (await self.ephemerals(channel, before + 1))[-1]

    async def opens_home(self) -> str:
        """Open the bot's Home tab. Wait for its view, and return its text."""
        surfaces, before = self.room.workspace.surfaces, self.room.workspace.surfaces.of(self.person, "home")
        self.room.workspace.interactions.open_home(self.person)
        await self.room.until(lambda: surfaces.of(self.person, "home") is not before)
        view = surfaces.of(self.person, "home")
        return str(view.body["blocks"]) if view else ""

    async def edits(self) -> dict[str, str]:
        """Press the Home tab's button. Wait for the modal, and return the values of its inputs."""
        self.room.workspace.interactions.press_at_home(self.person, EDIT_PREFERENCES)
        return await self.sees_modal()

    async def sees_modal(self) -> dict[str, str]:
        """Wait for a modal. Return the values of its inputs, by block."""
        surfaces = self.room.workspace.surfaces
        await self.room.until(lambda: surfaces.of(self.person, "modal") is not None)
        view = surfaces.of(self.person, "modal")
        assert view is not None
        elements = {block["block_id"]: block["element"] for block in view_kit.inputs(view.body)}
        return {
            block: element.get("initial_value") or element.get("initial_option", {}).get("value", "")
            for block, element in elements.items()
        }

    async def submits(self, **given: str) -> dict[str, str]:
        """Submit the modal with these values. Return its errors, none when it has closed."""
        surfaces, before = self.room.workspace.surfaces, self.room.workspace.surfaces.of(self.person, "modal")
        self.room.workspace.interactions.submit(self.person, given)
        await self.room.until(lambda: surfaces.of(self.person, "modal") is not before)
        left = surfaces.of(self.person, "modal")
        return dict(left.errors) if left else {}

    async def prefers(self, **wishes: str) -> None:
        """Save preferences in the Home tab's modal."""
        await self.opens_home()
        await self.edits()
        assert await self.submits(**wishes) == {}


@dataclass(frozen=True, slots=True)
class Room:
    """The workspace, its server, the model, and the parts of the bot."""

    workspace: Workspace
    server: PlaygroundServer
    model: OpenAIServer
    services: PlatformServices
    clock: SettableClock
    settings: Settings

    @property
    def database(self) -> str:
        """The SQLite file's path."""
        return self.settings.database_url.get_secret_value().removeprefix("sqlite:///")

    def guest(self, name: str) -> Guest:
        """Return a person by the first word of their real name."""
        return Guest(self, next(p for p in self.workspace.people.values() if p.real_name.split()[0] == name))

    def hold_model(self, *first_words: str) -> PausedStep:
        """Have the model's next answer pause after these words, until the test releases it."""
        hold = PausedStep()
        self.model.script(says(*first_words, hold, "a held answer"))
        return hold

    async def begins_again(self) -> Talk:
        """Return a thread in which an answer of several messages was running when its question became "be brief"."""
        hold = self.hold_model("word " * 5_000)
        talk = self.guest("Ana").mentions("tell me everything")
        await self.until(lambda: len(talk.messages()) > 1)
        await hold.reached()
        talk.edits(None, "@attendant be brief")
        return talk

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until a condition on the workspace is true."""
        await self.workspace.until(condition, timeout_s=GENEROUS_S)

    async def settled(self) -> None:
        """Wait until every answer is stored, too."""
        await self.services.worker.idle()

    async def ready(self) -> tuple[int, Any]:
        """Return the status and the body of /readyz."""
        url = f"http://127.0.0.1:{self.settings.health_port}/readyz"
        async with aiohttp.ClientSession() as http, http.get(url) as response:
            return response.status, await response.json()

    async def acknowledged(self) -> None:
        """Wait until the bot has acknowledged every delivery so far."""
        await self.until(lambda: all(delivery.acknowledged for delivery in self.server.deliveries.all()))


@asynccontextmanager
async def playground(clock: Callable[[], datetime], **how: Any) -> AsyncIterator[tuple[Workspace, PlaygroundServer]]:
    """Serve a workspace that has the app installed. It waits GENEROUS_S for acknowledgements by default."""
    workspace = harbour(SHIPPED, clock=clock, rng=random.Random(7))  # noqa: S311 - a test repeats itself
    server = PlaygroundServer(workspace, **{"ack_within_s": GENEROUS_S} | how)
    await server.start(0)
    try:
        yield workspace, server
    finally:
        await server.stop()


def free_port() -> int:
    """Return a port of this machine on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def settings_for(workspace: Workspace, server: PlaygroundServer, model: OpenAIServer, **more: Any) -> Settings:
    """Return settings that connect the bot to this workspace by Socket Mode, and to this model."""
    values: dict[str, Any] = {
        "slack_bot_token": workspace.app.bot_token,
        "slack_app_token": workspace.app.app_token,
        "slack_api_url": server.api_url,
        "openai_base_url": model.base_url,
        "openai_model": "scripted",
        "dm_sessions": "threads",  # the dialogues speak in threads; test_direct_messages has the other setting
    }
    return Settings(**(values | more))
