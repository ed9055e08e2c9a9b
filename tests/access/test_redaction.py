"""Secrets in what people write are replaced, and nothing else is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.access.redaction import Redactor
from bot.domain.events import Author, Forwarded, MessageDeleted, MessageEdited, MessageReceived, StopRequested, Thread
from bot.services import utc_now
from tests.access.redaction_corpus import AROUND, HARMLESS, IBANS, SECRETS

REDACTOR = Redactor.of(ibans=True)
THREAD, ANA = Thread("slack", "T1", "C1", "1.0"), Author("U1", "T1")


def with_secrets() -> Iterator[tuple[str, str]]:
    """Yield texts with a secret, and what they look like without it."""
    random = Random(20261201)  # noqa: S311 - a corpus, not a secret
    for label, made in [*SECRETS.items(), ("IBAN", IBANS)]:
        for make in made:
            for around in AROUND:
                yield around.format(make(random)), label


def test_secrets_of_the_corpus_are_found() -> None:
    """Recall is at least 0.95: of the corpus' secrets so many are replaced by a placeholder with their label."""
    texts = list(with_secrets())
    missed = [(label, text) for text, label in texts if f"[{label} removed]" not in REDACTOR.text(text)]

    assert len(texts) > 400
    assert len(missed) / len(texts) <= 0.05, missed


def test_harmless_text_of_the_corpus_stays() -> None:
    """Precision is at least 0.99: of all texts that lose something, so many had a secret in it."""
    wrong = [text for text in HARMLESS if REDACTOR.text(text) != text]

    assert len(HARMLESS) > 110
    assert wrong == []


@pytest.mark.parametrize("around", AROUND)
def test_the_words_around_a_secret_stay(around: str) -> None:
    """Nothing but the secret is replaced."""
    token = f"ghp_{'a1B2c3D4e5F6' * 3}"

    assert REDACTOR.text(around.format(token)) == around.format("[GitHub token removed]")


def test_only_the_password_of_an_address_is_removed() -> None:
    """The host and the user stay, because the question is about them."""
    assert (
        REDACTOR.text("postgresql://app:hunter2secret@db:5432/orders is refused")
        == "postgresql://app:[password in an address removed]@db:5432/orders is refused"
    )


def test_ibans_are_removed_only_when_asked_for() -> None:
    """An IBAN is no secret everywhere: the setting decides."""
    text = "Pay to DE89 3704 0044 0532 0130 00, please"

    assert Redactor.of().text(text) == text
    assert REDACTOR.text(text) == "Pay to [IBAN removed], please"


def test_the_operators_patterns_are_removed() -> None:
    """A pattern of the operator's has a label of theirs."""
    redactor = Redactor.of(patterns=[("employee number", re.compile(r"\bEMP-\d{6}\b"))])

    assert redactor.text("I am EMP-123456.") == "I am [employee number removed]."
    assert redactor.has_placeholder(["I am [employee number removed]."])


def test_it_can_be_switched_off() -> None:
    """Without shapes every text stays as it is."""
    text = f"ghp_{'a1B2c3D4e5F6' * 3}"

    assert Redactor.of(enabled=False, ibans=True).text(text) == text


@given(st.text(max_size=400))
def test_it_is_idempotent(text: str) -> None:
    """A placeholder is no secret, so that a text that comes back stays the same."""
    assert REDACTOR.text(REDACTOR.text(text)) == REDACTOR.text(text)


@pytest.mark.parametrize(
    "hostile",
    [
        "4" * 100_000,
        "4111 " * 20_000,
        "-----BEGIN PRIVATE KEY-----" * 3_700,
        "sk-" * 33_000,
        "eyJ" * 33_000,
        "https://a:" * 10_000,
        "aws secret key" * 7_000,
        "DE89 " * 20_000,
        "xoxb-1" * 16_000,
        "AccountKey=" * 9_000,
    ],
    ids=lambda text: text[:12],
)
def test_its_time_is_bounded(hostile: str) -> None:
    """The longest text that is stored, made to be slow, is read within the time limit of a test."""
    assert len(REDACTOR.text(hostile)) <= len(hostile) + 40 * 100_000


def test_events_lose_their_secrets_in_every_text() -> None:
    """Messages, edits, deleted messages and forwarded ones pass the same way; other events stay as they are."""
    secret, clean = f"my ghp_{'a1B2c3D4e5F6' * 3}", "my [GitHub token removed]"
    message = MessageReceived(THREAD, "2.0", ANA, secret, forwarded=(Forwarded("U2", "Ben", secret),))
    expected = MessageReceived(THREAD, "2.0", ANA, clean, forwarded=(Forwarded("U2", "Ben", clean),))
    now, stop = utc_now(), StopRequested(THREAD, ANA)

    assert REDACTOR.event(message) == expected
    assert REDACTOR.event(MessageEdited(message, now, now)) == MessageEdited(expected, now, now)
    assert REDACTOR.event(MessageDeleted(THREAD, "2.0", message)) == MessageDeleted(THREAD, "2.0", expected)
    assert REDACTOR.event(stop) == stop
