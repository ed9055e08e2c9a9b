"""One message of ours in Slack that grows: streamed, or posted and then edited.

Rule: `grow` and `finish` take the message's whole text, of which what was given before is the beginning.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol, Self

from slack_sdk.web.async_client import AsyncWebClient

from bot.adapter import Asked
from bot.slack.client import CallFailed, impatient, persistent

_BREAK_OFF_S = 2.0


class Message(Protocol):
    """A message that is in its thread already. Its methods raise what is named in client.CallFailed."""

    ts: str

    async def grow(self, text: str) -> None:
        """Show what there is so far. A failure may be made up for by the next call."""

    async def finish(self, text: str) -> None:
        """Show the whole text, which is the last."""


@dataclass(frozen=True, slots=True)
class Clients:
    """One workspace's Web API, with three kinds of patience."""

    posting: AsyncWebClient  # waits out rate limits
    growing: AsyncWebClient  # tries once: more text is coming anyway
    setting: AsyncWebClient  # tries again, because setting a text twice is as good as once

    @classmethod
    def of(cls, client: AsyncWebClient) -> Self:
        """The three kinds of this client."""
        return cls(posting=client, growing=impatient(client), setting=persistent(client))


class Streamed:
    """A message that streams: https://docs.slack.dev/reference/methods/chat.startStream. Slack unfurls nothing in it.

    Slack ends a stream after about five minutes, whatever is appended; `break_off` tells how to go on.
    """

    def __init__(self, clients: Clients, channel: str, ts: str, shown: str) -> None:
        self.ts = ts
        self._clients = clients
        self._channel = channel
        self._shown = shown

    @classmethod
    async def start(cls, clients: Clients, asked: Asked, text: str) -> Self:
        """Post the message with its first text. In channels the recipient has to be named."""
        answer = await clients.growing.chat_startStream(
            channel=asked.thread.channel,
            thread_ts=asked.thread.root,
            recipient_user_id=asked.author.id,
            recipient_team_id=asked.author.workspace,
            markdown_text=text,
        )
        return cls(clients, asked.thread.channel, answer["ts"], text)

    async def grow(self, text: str) -> None:
        """Append what is new; Slack takes no blank text."""
        if (more := text[len(self._shown) :]).strip():
            await self._clients.growing.chat_appendStream(channel=self._channel, ts=self.ts, markdown_text=more)
            self._shown = text

    async def finish(self, text: str) -> None:
        """Append what is new, and end the stream."""
        more = text[len(self._shown) :]
        last = more if more.strip() else None
        await self._clients.posting.chat_stopStream(channel=self._channel, ts=self.ts, markdown_text=last)

    async def break_off(self) -> Edited:
        """End the stream if it has not ended; the message can be edited from here on."""
        with suppress(*CallFailed):
            async with asyncio.timeout(_BREAK_OFF_S):
                await self._clients.growing.chat_stopStream(channel=self._channel, ts=self.ts)
        return Edited(self._clients, self._channel, self.ts)


class Edited:
    """A message that is posted and then edited: https://docs.slack.dev/reference/methods/chat.update."""

    def __init__(self, clients: Clients, channel: str, ts: str, shown: str | None = None) -> None:
        """`shown` is None when it is not known which part of the text is there."""
        self.ts = ts
        self._clients = clients
        self._channel = channel
        self._shown = shown

    @classmethod
    async def post(cls, clients: Clients, asked: Asked, text: str) -> Self:
        """Post the message with its first text."""
        answer = await clients.posting.chat_postMessage(
            channel=asked.thread.channel,
            thread_ts=asked.thread.root,
            markdown_text=text,
            unfurl_links=False,
            unfurl_media=False,
        )
        return cls(clients, asked.thread.channel, answer["ts"], text)

    async def grow(self, text: str) -> None:
        """Set the text, if it is another."""
        await self._set(self._clients.growing, text)

    async def finish(self, text: str) -> None:
        """Set the text for the last time; insist."""
        await self._set(self._clients.setting, text)

    async def _set(self, client: AsyncWebClient, text: str) -> None:
        if text != self._shown:
            await client.chat_update(channel=self._channel, ts=self.ts, markdown_text=text)
            self._shown = text
