"""bot.slack.text.markdown_blocks: Markdown in blocks, and the plain text beside it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.playground.workspace.pings import pings
from bot.slack.text.markdown_blocks import MAX_FALLBACK_BYTES, fallback_text, markdown_blocks, markdown_of

TOKENS = st.sampled_from(
    [
        "<!channel>",
        "<@U0BENOKAFO>",
        "@here",
        "https://x.y",
        "[a](https://x.y)",
        "&lt;!here&gt;",
        "*",
        "`",
        "|",
        "\n",
        "ж",
    ]
)


@given(st.lists(TOKENS | st.text(max_size=5)).map("".join))
def test_the_fallback_is_harmless_and_short(text: str) -> None:
    """The fallback pings nobody, contains no link, and Slack takes its length."""
    fallback = fallback_text(text)
    assert pings(fallback, link_names=True) == []
    assert not any(mark in fallback for mark in ("<", ">", "://"))
    assert 0 < len(fallback.encode()) <= MAX_FALLBACK_BYTES


@pytest.mark.parametrize("script", ["word ", "слово ", "言葉", "😀", "<&> ", "`"])
def test_a_long_text_has_a_short_fallback(script: str) -> None:
    """The limit counts bytes of UTF-8, after the escapes. The end of a cut text is marked."""
    fallback = fallback_text(script * 5_000)
    assert len(fallback.encode()) <= MAX_FALLBACK_BYTES
    assert fallback.endswith("…")


def test_the_fallback_is_the_words() -> None:
    """The fallback of Markdown is what stands in it, without the mark-up."""
    assert fallback_text("Hello there.") == "Hello there."
    assert fallback_text("# Title\n\n**Bold** and `code`:\n```py\nx = 1\n```") == "Title\nBold and code :\nx = 1"
    assert fallback_text("| a | b |\n|---|---|\n| 1 | 2 |") == "a b\n1 2"
    assert fallback_text("[The page](https://x.y/z) & more") == "The page &amp; more"


@given(st.text(min_size=1))
def test_what_was_sent_is_read_back(text: str) -> None:
    """The Markdown of blocks is the text that they were made of."""
    assert markdown_of(markdown_blocks(text)) == text


@pytest.mark.parametrize("blocks", [None, "x", [None], [{"type": "divider"}], [{"type": "markdown", "text": 1}]])
def test_malformed_blocks_have_no_text(blocks: Any) -> None:
    """Blocks without Markdown, or of another shape, read as empty."""
    assert markdown_of(blocks) == ""
