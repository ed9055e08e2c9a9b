"""Delivery over HTTP: signed requests to the app's request URL, as Slack sends them without Socket Mode.

docs.slack.dev/authentication/verifying-requests-from-slack, docs.slack.dev/apis/events-api/using-http-request-urls.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import aiohttp

from bot.playground.delivery.delivery import Attempt, Delivery, NotAcknowledged
from bot.playground.workspace.people import App

VERIFICATION_TIMEOUT_S = 3.0
_JSON, _FORM = "application/json", "application/x-www-form-urlencoded"


class HttpDelivery:
    """A Transport that posts payloads to one request URL. Close it when done."""

    def __init__(self, request_url: str, app: App, clock: Callable[[], datetime]) -> None:
        self._url = request_url
        self._app = app
        self._clock = clock  # the app refuses timestamps more than five minutes off
        self._session: aiohttp.ClientSession | None = None

    async def deliver(self, delivery: Delivery, attempt: Attempt, timeout_s: float) -> Any:
        """Post a payload. A 2xx response is the acknowledgement."""
        retry = {
            "X-Slack-Retry-Num": str(attempt.number),
            "X-Slack-Retry-Reason": attempt.retry_reason or "",
        }
        body, content_type = _body(delivery)
        return await self._post(body, content_type, retry if attempt.number else {}, timeout_s)

    async def verifies_url(self) -> bool:
        """Return whether the app answers Slack's url_verification request with its challenge."""
        challenge = hashlib.sha256(self._app.verification_token.encode()).hexdigest()
        request = {"token": self._app.verification_token, "challenge": challenge, "type": "url_verification"}
        answer = await self._post(json.dumps(request), _JSON, {}, VERIFICATION_TIMEOUT_S)
        return answer in ({"challenge": challenge}, {"text": challenge})

    async def close(self) -> None:
        """Close the connections. The next delivery opens new ones."""
        if self._session:
            await self._session.close()
        self._session = None

    async def _post(self, body: str, content_type: str, extra: Mapping[str, str], timeout_s: float) -> Any:
        headers = {"Content-Type": content_type, **self._signature(body), **extra}
        # No keep-alive: a connection that the app has closed would look like a failed delivery.
        self._session = self._session or aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True))
        try:
            async with (
                asyncio.timeout(timeout_s),
                self._session.post(self._url, data=body.encode(), headers=headers, allow_redirects=False) as response,
            ):
                return await _acknowledgement(response)
        except TimeoutError:
            raise NotAcknowledged("http_timeout") from None
        except (aiohttp.ClientError, ValueError):
            raise NotAcknowledged("connection_failed") from None

    def _signature(self, body: str) -> dict[str, str]:
        timestamp = str(int(self._clock().timestamp()))
        digest = hmac.new(self._app.signing_secret.encode(), f"v0:{timestamp}:{body}".encode(), hashlib.sha256)
        return {"X-Slack-Request-Timestamp": timestamp, "X-Slack-Signature": f"v0={digest.hexdigest()}"}


def _body(delivery: Delivery) -> tuple[str, str]:
    if delivery.kind == "events_api":
        return json.dumps(delivery.payload), _JSON
    if delivery.kind == "slash_commands":
        return urlencode(delivery.payload), _FORM
    return urlencode({"payload": json.dumps(delivery.payload)}), _FORM


async def _acknowledgement(response: aiohttp.ClientResponse) -> Any:
    text = await response.text()
    if not response.ok:
        raise NotAcknowledged("http_error", no_retry=response.headers.get("X-Slack-No-Retry") == "1")
    if not text:
        return None
    return json.loads(text) if response.content_type == _JSON else {"text": text}
