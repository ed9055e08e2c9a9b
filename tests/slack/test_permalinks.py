"""bot.slack.permalinks: the thread that a permalink names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.events import Thread
from bot.slack.permalinks import thread_from_permalink
from tests.support.slack_payloads import ROOT, TS


@pytest.mark.parametrize(
    ("link", "root"),
    [
        ("https://harbour.slack.com/archives/C1/p1712345678000200", TS),
        ("<https://harbour.slack.com/archives/C1/p1712345678000200?thread_ts=1712345678.000100&cid=C1>", ROOT),
    ],
)
def test_a_permalink_names_its_thread(link: str, root: str) -> None:
    """The permalink of a root or of a reply names the thread."""
    assert thread_from_permalink(link, "T1") == Thread("slack", "T1", "C1", root)


@pytest.mark.parametrize(
    "link",
    ["", "all", "https://x.y", "https://[", "https://x.y/archives/C1/p17", "ftp://x.y/archives/C1/p1712345678000200"],
)
def test_other_text_is_no_permalink(link: str) -> None:
    """Other words and other URLs are no permalinks."""
    assert thread_from_permalink(link, "T1") is None


@given(st.text())
def test_any_text_may_be_parsed(words: str) -> None:
    """No text raises an error."""
    assert thread_from_permalink(f"https://{words}", "T1") is None
