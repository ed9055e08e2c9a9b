"""The calls that write messages, and the post of a whole message. Each raises CallError."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from bot.domain.events import Thread
from bot.errors import PlatformUnavailable
from bot.slack.errors import CallError
from bot.slack.outbound.message_form import MessageForm
from bot.slack.rate_limiter import RateLimiter

T = TypeVar("T")

LONGEST_WAIT_S = 300.0  # for the rate limit, where a text must be shown: a stream does not live longer


class TextNotShownError(CallError):
    """Slack took a text, but the message in its response does not show it."""


@dataclass(frozen=True, slots=True)
class Slack:
    """One workspace's Web API, with its rate limits."""

    client: AsyncWebClient  # repeats nothing by itself
    limiter: RateLimiter
    is_ours: Callable[[], Awaitable[bool]] | None = None  # asked before each write; see adapter.Ledger
    form: MessageForm = field(default_factory=MessageForm)

    async def write(self, method: str, send: Callable[[], Awaitable[T]], **how: Any) -> T:
        """Send a call that writes, by RateLimiter.call. Raises PlatformUnavailable when the turn may be another's."""

        async def send_if_ours() -> T:
            if self.is_ours is not None and not await self.is_ours():
                raise PlatformUnavailable("the turn may be another worker's by now")
            return await send()

        return await self.limiter.call(method, send_if_ours, **how)


Posted = tuple[AsyncSlackResponse, str]  # the response, and the text that was sent


async def say(slack: Slack, thread: Thread, text: Callable[[], str], *, wait_s: float) -> Posted:
    """Post a message. `text` is called when it is sent. Slack unfurls nothing in it."""

    async def post(arguments: Callable[[str], dict[str, Any]]) -> Posted:
        async def send() -> Posted:
            shown = text()
            posted = await slack.client.chat_postMessage(
                channel=thread.channel,
                thread_ts=thread.root or None,
                unfurl_links=False,
                unfurl_media=False,
                **arguments(shown),
            )
            return posted, shown

        return await slack.write("chat.postMessage", send, channel=thread.channel, wait_s=wait_s)

    return await slack.form.send(post)
