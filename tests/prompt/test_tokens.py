"""Tokens: estimated without a tokenizer, and texts that are shortened to a number of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.prompt.tokens import MOST_CHARACTERS, TOKENS_PER_MESSAGE, estimate_piece, estimate_tokens, shorten

texts = st.text(st.characters(codec=None), max_size=400)

# Kinds of texts that people send, with o200k's token counts by bpe-openai 0.1.4.
COUNTED = [
    ("My VPN drops every ten minutes since this morning. What can I do about it?", 17),
    ("Meine VPN-Verbindung bricht seit heute Morgen alle zehn Minuten ab. Was kann ich tun?", 19),
    ("Моё соединение VPN обрывается каждые десять минут. Что мне делать?", 20),
    ("我的VPN连接从今天早上开始每十分钟就断开一次。我该怎么办。", 19),
    ("今朝からVPN接続が10分ごとに切れます。どうすればいいですか。", 23),
    ("오늘 아침부터 VPN 연결이 10분마다 끊어집니다. 어떻게 해야 하나요?", 22),
    ("मेरा वीपीएन आज सुबह से हर दस मिनट में बंद हो जाता है।", 17),
    ("2026-01-01T10:00:04.120Z ERROR [worker-3] connection 0x7f3a9c41e2b0 reset by 10.81.4.17:52110", 49),
    ("9f1c2d7e-40b3-4c6a-8d52-e1f7a03b6c94", 31),
    ('{"id": 4711, "ok": true, "ms": 12.5, "tags": ["a", "b"]}', 30),
    ("ZG9uJ3QgcGFuaWMsIHRoaXMgaXMganVzdCBhIHRlc3Q=", 28),
    ("def f(x: int) -> int:\n    return x + 1\n", 16),
    ("great 🎉🎉 thanks 👍", 7),
    ("https://example.com/docs/9f1c2d7e40?utm_source=a&id=48151623", 24),
]


@pytest.mark.parametrize(("text", "tokens"), COUNTED)
def test_the_estimate_is_high_but_below_twice_the_count(text: str, tokens: int) -> None:
    """For every kind of text the estimate is at least a real tokenizer's count, and less than twice as high."""
    assert tokens <= estimate_tokens(text) <= 2 * tokens + TOKENS_PER_MESSAGE


@given(texts)
def test_more_text_never_costs_less(text: str) -> None:
    """A longer text never has a lower estimate. Lone surrogates can be estimated too."""
    assert TOKENS_PER_MESSAGE <= estimate_tokens(text) <= estimate_tokens(text + "x")


@given(st.lists(texts, max_size=5))
def test_pieces_cost_at_least_as_much_as_the_whole(pieces: list[str]) -> None:
    """A text that is counted as it arrives is never counted too low."""
    assert estimate_tokens("".join(pieces)) <= TOKENS_PER_MESSAGE + sum(map(estimate_piece, pieces))


@given(texts)
def test_no_token_is_longer_than_the_longest(text: str) -> None:
    """No token has more than MOST_CHARACTERS, so the length of a text alone can show that it is too long."""
    assert len(text) <= MOST_CHARACTERS * (estimate_tokens(text) - TOKENS_PER_MESSAGE)


@given(st.text(st.sampled_from("ab 1.\n語🎉"), max_size=2_000), st.integers(25, 300))
def test_a_shortened_text_stays_within_its_limit(text: str, most: int) -> None:
    """A text that fits stays the same. A longer text keeps both ends, and a mark counts the missing characters."""
    shortened = shorten(text, most)

    assert estimate_tokens(shortened) <= most
    if estimate_tokens(text) <= most:
        assert shortened == text
    else:
        head, _, rest = shortened.partition(" [… ")
        missing, _, tail = rest.partition(" characters left out …] ")
        assert text.startswith(head)
        assert text.endswith(tail)
        assert len(head) + int(missing) + len(tail) == len(text)
        assert head.count("\n") + tail.count("\n") == shortened.count("\n")  # it begins no line


def test_a_shortened_text_uses_its_limit() -> None:
    """Hardly more is left out than necessary."""
    shortened = shorten("My VPN drops every ten minutes. " * 10_000, 1_000)

    assert estimate_tokens(shortened) > 900


@pytest.mark.parametrize("piece", ["a", " ", "<@", "語", "🎉", "\n", "aB3-"])
def test_a_huge_text_is_shortened_at_once(piece: str) -> None:
    """The work does not grow with the part that is left out, so that no message can block the bot."""
    assert estimate_tokens(shorten(piece * 1_000_000, 100)) <= 100
