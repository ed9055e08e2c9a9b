"""Events: which texts are commands, and whom a message addresses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.events import Command, Thread, addresses_other, read_command, storable


@pytest.mark.parametrize("command", Command)
@pytest.mark.parametrize("form", ["!{}", " !{} ", "!{}!", "!{}.", "!{}\n"])
@pytest.mark.parametrize("mentions_bot", [True, False])
def test_a_bare_command_counts_with_or_without_a_mention(command: Command, form: str, *, mentions_bot: bool) -> None:
    """`!reset` and `!stop` are commands wherever they stand alone, in small letters or large."""
    text = form.format(command.value)

    assert read_command(text, mentions_bot=mentions_bot) is command
    assert read_command(text.upper(), mentions_bot=mentions_bot) is command


@pytest.mark.parametrize("command", Command)
@pytest.mark.parametrize("form", ["{}", "{}!", " {} . ", "/{}"])
def test_the_word_alone_needs_a_mention(command: Command, form: str) -> None:
    """People may say "stop" to each other; said to the bot it is a command."""
    text = form.format(command.value)

    assert read_command(text, mentions_bot=True) is command
    assert read_command(text, mentions_bot=False) is None


@pytest.mark.parametrize(
    "text",
    [
        "reset my password",
        "stop the server",
        "!stop it",
        "!reset please",
        "!!reset",
        "how do I reset?",
        "!",
        "",
        "!help",
    ],
)
@pytest.mark.parametrize("mentions_bot", [True, False])
def test_everything_else_is_a_message(text: str, *, mentions_bot: bool) -> None:
    """Only an exact command counts, so that questions about resets reach the model."""
    assert read_command(text, mentions_bot=mentions_bot) is None


@pytest.mark.parametrize(
    "text", ["<@U2> can you look?", " hi <@U2|ben>,", "Hey, <@U2>", "thank you <@U2>", "<!here> lunch", "cc <@U2>"]
)
def test_a_message_that_opens_with_a_name_is_for_that_person(text: str) -> None:
    """A greeting before the name changes nothing, and a call to everybody is not for the bot either."""
    assert addresses_other(text)


@pytest.mark.parametrize(
    "text",
    ["it works for <@U2>", "hello", "", "ask <@U2> please", "<https://example.org|here>", "hi there <@U2>", "<@"],
)
def test_a_name_further_on_addresses_nobody(text: str) -> None:
    """Whoever is only spoken of is not addressed."""
    assert not addresses_other(text)


@given(text=st.text(), mentions_bot=st.booleans())
def test_any_text_can_be_read(text: str, *, mentions_bot: bool) -> None:
    """No text breaks the reading, and every command found is that word but for its signs."""
    addresses_other(text)
    command = read_command(text, mentions_bot=mentions_bot)

    assert command is None or text.strip(" .!\n\t").casefold().strip() == command.value


def test_a_long_text_is_read_at_once() -> None:
    """Reading costs no more than the text is long, whatever is in it."""
    for piece in ("<@", " ", "hi ", "hi, ", "<@U"):
        assert not addresses_other(piece * 100_000)


def test_a_thread_is_told_by_all_its_parts() -> None:
    """In logs a thread is one word of its four parts."""
    assert str(Thread("slack", "T1", "C1", "1.0")) == "slack:T1:C1:1.0"


def test_storable_text_is_left_as_it_is() -> None:
    """Only what no database takes is changed."""
    assert storable("Grüße 👋\n\t\x01") == "Grüße 👋\n\t\x01"
    assert storable("a\0b\udc80") == "ab?"
