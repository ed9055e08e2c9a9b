"""Tests of the mrkdwn that Slack stores for typed text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.playground.workspace import mrkdwn

USERS = {"ana": "U1", "Ana Silva": "U1", "attendant": "U0"}
CHANNELS = {"general": "C1"}


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("a < b && c > d", "a &lt; b &amp;&amp; c &gt; d"),
        ("@attendant hi", "<@U0> hi"),
        ("@Attendant, and @Ana Silva!", "<@U0>, and <@U1>!"),
        ("@anastasia ana@ana.example", "@anastasia ana@ana.example"),
        ("@here @channel", "<!here> <!channel>"),
        ("see #general", "see <#C1>"),
        ("(https://x.example/a?b=1&c=2).", "(<https://x.example/a?b=1&amp;c=2>)."),
        ("<!channel>", "&lt;!channel&gt;"),
    ],
)
def test_typing(typed: str, stored: str) -> None:
    """Names, channels and links become tokens. Everything else is escaped."""
    assert mrkdwn.stored(typed, USERS, CHANNELS) == stored


@given(st.text())
def test_text_without_names_only_escapes(typed: str) -> None:
    """Without known names, typed text contains no mention."""
    assert "<@" not in mrkdwn.stored(typed, {}, {})
