"""The Web API client.

Rule: the client retries only a call that Slack answered with 429. The rate limiter decides about every other retry.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import aiohttp
from slack_sdk.http_retry.builtin_async_handlers import AsyncRateLimitErrorRetryHandler
from slack_sdk.web.async_client import AsyncWebClient

from bot.config.settings import Settings
from bot.slack.log_redaction import redacting_logger

CALL_TIMEOUT_S = 30
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@asynccontextmanager
async def open_client(settings: Settings) -> AsyncIterator[AsyncWebClient]:
    """Open a client whose calls share one connection pool. It must be opened in the running loop.

    Slack does not carry out a call that it answers with 429, so a retry is safe:
    https://docs.slack.dev/apis/web-api/rate-limits
    """
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=CALL_TIMEOUT_S)) as session:
        client = AsyncWebClient(
            settings.slack_bot_token,
            base_url=settings.slack_api_url,
            session=session,
            logger=redacting_logger("slack_sdk"),
            retry_handlers=[AsyncRateLimitErrorRetryHandler(max_retry_count=2)],
        )
        if urlsplit(settings.slack_api_url).hostname in _LOOPBACK:
            client.proxy = None  # the proxy of the environment does not lead to this machine
        yield client


def without_retries(client: AsyncWebClient) -> AsyncWebClient:
    """Return a copy of the client that never retries, for calls that the rate limiter sends and retries."""
    copy = AsyncWebClient(
        client.token,
        base_url=client.base_url,
        timeout=client.timeout,
        session=client.session,
        logger=client.logger,
        retry_handlers=[],
    )
    copy.proxy = client.proxy
    return copy
