"""bot.slack.markdown: what a model wrote can ping nobody and hide nothing."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.slack.markdown import JOINER, Harmless, harmless

PING = re.compile(
    r"(?:<|&lt;|&#0*60;|&#x0*3c;)\\?(?:!(?:channel|here|everyone|group|subteam|date)|[@#]\w)"
    r"|(?<!\w)@(?:channel|here|everyone)",
    re.IGNORECASE,
)
HIDDEN = re.compile(
    r"\]\(\s*<?(?!https?:|mailto:|tel:)\w+:[^\s:]|<(?:javascript|data):[^<>\n]*>|<[a-z][a-z0-9+.-]*:[^<>\n|]*\|[^<>\n]*>",
    re.IGNORECASE,
)
PIECES = st.sampled_from(
    [
        *("<", ">", "!", "@", "#", "|", "^", ":", "\\", "&lt;", "&#60;", "]", "[", "(", ")", "](", "\n", " ", "a", "1"),
        *("<!", "<@U1", "<#C1", "channel", "here", "HERE", "everyone", "subteam^S1", "date^1^x", "@here"),
        *("<!channel>", "<!channel|x>", "<https://x.y|", "<javascript:x|", "javascript:", "https://x.y", "mailto:"),
    ]
)
TEXT = st.lists(PIECES | st.text(max_size=3), max_size=25).map("".join)


@settings(max_examples=400)
@given(TEXT)
def test_nothing_pings(text: str) -> None:
    """Whatever a model writes, no token or name that notifies anybody is left."""
    assert PING.search(harmless(text)) is None


@settings(max_examples=400)
@given(TEXT)
def test_nothing_hides_where_it_leads(text: str) -> None:
    """Whatever a model writes, no link is left that leads elsewhere than to the web or to a mailbox."""
    assert HIDDEN.search(harmless(text)) is None


@settings(max_examples=400)
@given(TEXT, st.data())
def test_deltas_make_no_difference(text: str, data: st.DataObject) -> None:
    """However the text is divided into deltas, what comes out is the same."""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    passing = Harmless()
    deltas = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]

    assert "".join([*map(passing.feed, deltas), passing.finish()]) == harmless(text)


@settings(max_examples=400)
@given(TEXT)
def test_letter_by_letter(text: str) -> None:
    """Passed through one character at a time, the text comes out the same."""
    passing = Harmless()
    assert "".join([*map(passing.feed, text), passing.finish()]) == harmless(text)


@settings(max_examples=400)
@given(TEXT)
def test_harmless_text_stays_as_it_is(text: str) -> None:
    """What has been made harmless says the same when it is passed through again."""
    once = harmless(text)
    assert harmless(once).replace(JOINER, "") == once.replace(JOINER, "")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<!channel> look", f"@{JOINER}channel look"),
        ("<!Here|here>", f"@{JOINER}Here"),
        ("ask <@U0ABC123>", f"ask @{JOINER}U0ABC123"),
        ("ask <@W0ABC|ana>", f"ask @{JOINER}ana"),
        ("in <#C0ABC|general>", f"in #{JOINER}general"),
        ("@everyone!", f"@{JOINER}everyone!"),
        ("<!subteam^S1|@ops>", f"{JOINER}@{JOINER}ops"),
        ("<https://x.y/z|here>", "[here](https://x.y/z)"),
        ("<javascript:alert(1)|here>", f"{JOINER}here"),
        ("[a](javascript:alert(1))", f"[a]{JOINER}(javascript:alert(1))"),
        ("<<!channel>!channel>", f"<@{JOINER}channel!channel>"),
        ("<!chan<!here>nel>", f"<!chan@{JOINER}herenel>"),
        ("<!channel", f"<{JOINER}!channel"),
    ],
)
def test_tokens_become_words(text: str, shown: str) -> None:
    """A token turns into words that say the same; an unfinished one is broken."""
    assert harmless(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "<!DOCTYPE html>\n<!-- a note -->\n<div class='x'>",
        "List<String> a = b < c && d > e;",
        "mail bob@here.com or ana@example.com",
        "[docs](https://x.y/z) ![picture](https://x.y/z.png) <https://x.y> [up](/top) [write](mailto:a@b.c)",
        "names[0](std::move(x)); <soap:Body>; x <- y; a[1]: int",
        "**bold** _it_ `code` ```js\nif (a < b) {}\n```",
    ],
)
def test_ordinary_text_is_literal(text: str) -> None:
    """Code, markup and links to the web come through unchanged."""
    assert harmless(text) == text


def test_only_the_start_of_a_token_is_held_back() -> None:
    """Text is passed on at once, up to what may yet become a token."""
    passing = Harmless()
    assert [passing.feed("see <"), passing.feed("!doc"), passing.feed("<!here"), passing.feed(">.")] == [
        "see ",
        "<!doc",
        "",
        f"@{JOINER}here.",
    ]


def test_what_is_held_back_is_bounded() -> None:
    """A token that never ends is let go, broken, after some thousand characters."""
    passed = Harmless().feed("<!channel|" + "x" * 5_000)
    assert passed == f"<{JOINER}!channel|" + "x" * 5_000
