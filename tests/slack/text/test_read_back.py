"""bot.slack.text.read_back: whether a returned message holds the text that was sent."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.slack.text.read_back import holds

WORDS = st.lists(st.from_regex(r"[a-zж漢]{1,8}", fullmatch=True), min_size=1, max_size=60)
SENT = (
    "# Setup\n\nSee [the guide](https://x.y/guide) and **run** it :tada:\n\n"
    "| a | b |\n|---|---|\n| 1 | 2 |\n\n```sh\nmake\n```"
)
RICH: list[dict[str, Any]] = [
    {"type": "header", "text": {"type": "plain_text", "text": "Setup"}},
    {
        "type": "rich_text",
        "block_id": "b1",
        "elements": [
            {
                "type": "rich_text_section",
                "elements": [
                    {"type": "text", "text": "See "},
                    {"type": "link", "url": "https://x.y/guide", "text": "the guide"},
                    {"type": "text", "text": " and "},
                    {"type": "text", "text": "run", "style": {"bold": True}},
                    {"type": "text", "text": " it "},
                    {"type": "emoji", "name": "tada"},
                ],
            },
            {"type": "table", "rows": [[{"type": "raw_text", "text": cell} for cell in row] for row in ("ab", "12")]},
            {"type": "rich_text_preformatted", "elements": [{"type": "text", "text": "make"}]},
        ],
    },
]


def as_block(text: str) -> dict[str, Any]:
    """Return a message with the text in a markdown block."""
    return {"ts": "1", "text": "…", "blocks": [{"type": "markdown", "block_id": "x", "text": text}]}


@given(WORDS)
def test_a_message_holds_its_text(words: list[str]) -> None:
    """A text that Slack returns unchanged, as a block or as text, is held."""
    text = " ".join(words)
    assert holds(as_block(text), text)
    assert holds({"text": text}, text)


@given(WORDS, st.integers(0, 500))
def test_a_cut_message_does_not(words: list[str], at: int) -> None:
    """A text without its last words is not held, even if it repeats itself."""
    text = " ".join(words)
    cut = text[: at % len(text)].rstrip()
    assert not holds(as_block(cut), text)
    assert not holds({"text": cut}, text)


@pytest.mark.parametrize("message", [{"text": "", "blocks": []}, {"ts": "1"}, {"text": None}, {"blocks": "x"}])
def test_an_empty_message_does_not(message: dict[str, Any]) -> None:
    """A message without any words holds none."""
    assert not holds(message, "Hello")


@pytest.mark.parametrize("message", [None, "x", 1])
def test_no_message_raises_no_alarm(message: object) -> None:
    """A response without a message says nothing about it."""
    assert holds(message, "Hello")


def test_text_without_words_raises_no_alarm() -> None:
    """Nothing can be compared."""
    assert holds({"text": ""}, "---")


def test_converted_markdown_is_held() -> None:
    """Slack may return rich text instead of Markdown: links, emoji, tables and code of another shape."""
    assert holds({"text": "", "blocks": RICH}, SENT)
    assert not holds({"text": "", "blocks": RICH[:1]}, SENT)
