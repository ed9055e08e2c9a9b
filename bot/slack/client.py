"""Slack's Web API client: where it calls, what it tries again, what it may log.

Rule: a call that posts is never repeated when it is unknown whether Slack carried it out.
"""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.http_retry.async_handler import AsyncRetryHandler
from slack_sdk.http_retry.builtin_async_handlers import (
    AsyncConnectionErrorRetryHandler,
    AsyncRateLimitErrorRetryHandler,
    AsyncServerErrorRetryHandler,
)
from slack_sdk.web.async_client import AsyncWebClient

from bot.config import Settings

CALL_TIMEOUT_S = 30
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

CallFailed = (SlackClientError, aiohttp.ClientError, TimeoutError, OSError, ValueError)
"""Everything a call of the Web API raises when it does not succeed; ValueError is for answers that are no JSON."""


@asynccontextmanager
async def open_client(settings: Settings) -> AsyncIterator[AsyncWebClient]:
    """A client whose calls share connections, on the running loop. It waits out rate limits, and repeats nothing else.

    Slack did not execute what it answered with 429: https://docs.slack.dev/apis/web-api/rate-limits
    """
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=CALL_TIMEOUT_S)) as session:
        client = AsyncWebClient(
            settings.slack_bot_token,
            base_url=settings.slack_api_url,
            session=session,
            logger=quiet_logger("slack_sdk"),
            retry_handlers=[AsyncRateLimitErrorRetryHandler(max_retry_count=2)],
        )
        if urlsplit(settings.slack_api_url).hostname in _LOOPBACK:
            client.proxy = None  # the environment's proxy is not for this machine itself
        yield client


def impatient(client: AsyncWebClient) -> AsyncWebClient:
    """The same client for calls that are better left out than late: it repeats nothing."""
    return _with(client, [])


def persistent(client: AsyncWebClient) -> AsyncWebClient:
    """The same client for calls that may be repeated without harm, such as setting a message's whole text."""
    return _with(
        client,
        [
            AsyncRateLimitErrorRetryHandler(max_retry_count=3),
            AsyncConnectionErrorRetryHandler(max_retry_count=2),
            AsyncServerErrorRetryHandler(max_retry_count=2),
        ],
    )


def error_code(error: BaseException) -> str:
    """Slack's word for why a call failed, or ours where Slack gave none. Never what the call was about."""
    if isinstance(error, SlackApiError):
        data = getattr(error.response, "data", None)
        code = data.get("error") if isinstance(data, dict) else None
        return str(code or f"http_{getattr(error.response, 'status_code', 'unknown')}")
    return "timeout" if isinstance(error, TimeoutError) else f"not_reached ({type(error).__name__})"


def retry_after_seconds(error: BaseException) -> float:
    """For how long Slack asked not to be called again: 0 when the failure was not a rate limit."""
    if error_code(error) not in ("ratelimited", "rate_limited") or not isinstance(error, SlackApiError):
        return 0.0
    given = error.response.headers.get("Retry-After", "1")
    return float(given) if given.isdigit() else 1.0


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


def _with(client: AsyncWebClient, retry_handlers: list[AsyncRetryHandler]) -> AsyncWebClient:
    copy = AsyncWebClient(
        client.token,
        base_url=client.base_url,
        timeout=client.timeout,
        session=client.session,
        logger=client.logger,
        retry_handlers=retry_handlers,
    )
    copy.proxy = client.proxy
    return copy
