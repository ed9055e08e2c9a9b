"""Slack's Web API client: where it calls, and what its libraries may log.

Rule: it repeats nothing but what Slack surely did not carry out. What else is repeated is the limiter's business.
"""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import aiohttp
from slack_sdk.http_retry.builtin_async_handlers import AsyncRateLimitErrorRetryHandler
from slack_sdk.web.async_client import AsyncWebClient

from bot.config.settings import Settings

CALL_TIMEOUT_S = 30
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@asynccontextmanager
async def open_client(settings: Settings) -> AsyncIterator[AsyncWebClient]:
    """A client whose calls share connections, on the running loop. It waits out rate limits, and repeats nothing else.

    Slack did not execute what it answered with 429: https://docs.slack.dev/apis/web-api/rate-limits
    """
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=CALL_TIMEOUT_S)) as session:
        client = AsyncWebClient(
            settings.slack_bot_token.get_secret_value() if settings.slack_bot_token else None,
            base_url=settings.slack_api_url,
            session=session,
            logger=quiet_logger("slack_sdk"),
            retry_handlers=[AsyncRateLimitErrorRetryHandler(max_retry_count=2)],
        )
        if urlsplit(settings.slack_api_url).hostname in _LOOPBACK:
            client.proxy = None  # the environment's proxy is not for this machine itself
        yield client


def impatient(client: AsyncWebClient) -> AsyncWebClient:
    """The same client, repeating nothing by itself: for calls that the limiter lets through, and repeats."""
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


def quiet_logger(name: str) -> logging.Logger:
    """The library's logger of that name, made to keep bodies, tokens and what people wrote to itself."""
    logger = logging.getLogger(name)
    logger.setLevel(logging.WARNING)  # INFO and DEBUG print whole payloads
    if not any(isinstance(existing, _Discreet) for existing in logger.filters):
        logger.addFilter(_Discreet())
    return logger


class _Discreet(logging.Filter):
    """Cuts a record down to its first line without secrets; an exception's text may quote a payload, so it goes."""

    _SECRET = re.compile(r"xox[a-z]-[\w-]+|xapp-[\w-]+|v0=[0-9a-f]{8,}|\?[^\s'\"]+")
    _LONGEST = 200

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep the record, cut down."""
        message = record.getMessage()
        if message.startswith("As ") and "token" in message:  # Bolt on how it was constructed, which is on purpose
            return False
        record.msg, record.args = self._SECRET.sub("…", message.partition("\n")[0])[: self._LONGEST], ()
        record.exc_info, record.exc_text = None, None
        return True
