"""Over HTTP, a request that Slack did not sign is refused unread, and the conversation beside it goes on."""

from __future__ import annotations

import hashlib
import hmac
import io
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest

from bot import app
from bot.slack.inbound.http_mode import MAX_BODY_BYTES, PATH
from bot.testing import SettableClock
from tests.support.openai_server import OpenAIServer
from tests.support.room import Room, free_port, playground, recites, settings_for

WORDS = b"hidden words"
Sign = Callable[[bytes, float], dict[str, str]]


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    """The whole bot over signed HTTP, by the real clock, because Slack's signatures are."""
    clock, port = SettableClock(datetime.now(UTC)), free_port()
    async with AsyncExitStack() as stack:
        model = OpenAIServer(recites)
        await model.start()
        stack.push_async_callback(model.stop)
        workspace, server = await stack.enter_async_context(
            playground(clock.now, request_url=f"http://127.0.0.1:{port}{PATH}")
        )
        settings = settings_for(
            workspace,
            server,
            model,
            database_url=f"sqlite:///{tmp_path / 'attendant.db'}",
            slack_app_token=None,
            slack_signing_secret=workspace.app.signing_secret,
            port=port,
        )
        bot = await stack.enter_async_context(app.slack_bot(settings, clock=clock.now))
        yield Room(workspace, server, model, bot.services, clock, settings)


NOT_SLACKS: list[tuple[str, int, Callable[[Sign], tuple[bytes, dict[str, str]]]]] = [
    ("unsigned", 401, lambda _: (WORDS, {})),
    ("badly signed", 401, lambda sign: (WORDS, sign(b"other words", 0))),
    ("old", 401, lambda sign: (WORDS, sign(WORDS, -301))),
    ("of the future", 401, lambda sign: (WORDS, sign(WORDS, 302))),
    ("too large", 413, lambda sign: (large := WORDS * MAX_BODY_BYTES, sign(large, 0))),
    ("not UTF-8", 400, lambda sign: (b"\xff" + WORDS, sign(b"\xff" + WORDS, 0))),
]
NO_OBJECTS = [
    b'["hidden words"]',
    b'"hidden words"',
    b"7",
    b"null",
    b"{hidden words",
    b"payload=[]",
    b'{"team": 7}',
    b"",
]


@pytest.mark.parametrize(("status", "made"), [case[1:] for case in NOT_SLACKS], ids=[case[0] for case in NOT_SLACKS])
async def test_what_is_not_slacks_is_turned_away(
    room: Room,
    status: int,
    made: Callable[[Sign], tuple[bytes, dict[str, str]]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is neither parsed, nor logged, nor counted; Slack's own deliveries before and after it are answered."""
    talk = room.guest("Ana").mentions("my VPN is down")
    await talk.answers(1)
    body, headers = made(lambda body, later_s: signature(room, body, later_s))
    assert await posted(room, body, headers) == status
    assert caplog.records == []
    assert room.services.failed_deliveries.unsaved == 0

    talk.says("still down")
    assert (await talk.answers(2))[-1].endswith("| still down")


@pytest.mark.parametrize("body", NO_OBJECTS)
@pytest.mark.parametrize("kind", ["application/json", "application/x-www-form-urlencoded"])
async def test_what_is_signed_but_no_object_is_refused(
    room: Room, body: bytes, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A signed body that is no object breaks nothing, and no word of it is logged."""
    status = await posted(room, body, {**signature(room, body, 0), "Content-Type": kind})
    assert status in {400, 404}
    assert "hidden words" not in caplog.text
    assert "Traceback" not in caplog.text

    assert await room.guest("Ana").mentions("my VPN is down").answers(1) == ["I was shown: my VPN is down"]


def signature(room: Room, body: bytes, later_s: float) -> dict[str, str]:
    """The headers by which Slack would prove that this body is its own, at a time that is `later_s` from now."""
    at = str(int(time.time() + later_s))
    secret = room.workspace.app.signing_secret.encode()
    signed = hmac.new(secret, b"v0:" + at.encode() + b":" + body, hashlib.sha256).hexdigest()
    return {"X-Slack-Request-Timestamp": at, "X-Slack-Signature": f"v0={signed}"}


async def posted(room: Room, body: bytes, headers: dict[str, str]) -> int:
    """The status that the bot answers."""
    url = f"http://127.0.0.1:{room.settings.port}{PATH}"
    data = io.BytesIO(body)
    async with aiohttp.ClientSession(trust_env=False) as http, http.post(url, data=data, headers=headers) as response:
        return response.status
