"""Tests of pings and unfurled links in a message."""

from __future__ import annotations

import dataclasses

import pytest

from bot.playground.workspace.messages import Message
from bot.playground.workspace.pings import message_pings, pings, unfurled

MESSAGE = Message(channel="C1", ts="1.000001", user="U0", text="see https://x.example/a and <https://y.example|y>")


@pytest.mark.parametrize(
    "token",
    ["<!channel>", "<!here|here>", "<!EVERYONE>", "<!subteam^S1|@it>", "<@U1ABC>", "<@W1ABC|ana>"],
)
def test_pinging_tokens(token: str) -> None:
    """Every token that notifies people is found, in any case and with any label."""
    assert pings(f"a {token} b") == [token]


@pytest.mark.parametrize("text", ["&lt;!channel&gt;", "<#C1|general>", "<https://x|@here>", "@here", "List<String>"])
def test_harmless_text(text: str) -> None:
    """Escaped text, channel links, web links and bare names notify nobody."""
    assert pings(text) == []


def test_bare_names_ping_only_where_slack_looks_for_them() -> None:
    """With link_names, a bare @here notifies people too."""
    assert pings("hi @here", link_names=True) == ["@here"]


def test_blocks_ping_too() -> None:
    """A mrkdwn text in a block notifies people. A plain_text object does not."""
    text = {"type": "mrkdwn", "text": "<!here>"}
    button = {"type": "button", "text": {"type": "plain_text", "text": "<!channel>"}}
    message = dataclasses.replace(MESSAGE, blocks=({"type": "section", "text": text, "accessory": button},))

    assert message_pings(message) == ["<!here>"]


def test_links_unfurl_only_when_allowed() -> None:
    """A link unfurls unless the message was sent with unfurling switched off."""
    assert unfurled(MESSAGE) == []
    assert unfurled(dataclasses.replace(MESSAGE, unfurls=True)) == ["https://x.example/a", "https://y.example"]
