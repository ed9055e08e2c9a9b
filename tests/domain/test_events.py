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
    """`!reset` and `!stop` alone are commands, with or without a mention, in lower or upper case."""
    text = form.format(command.value)

    assert read_command(text, mentions_bot=mentions_bot) is command
    assert read_command(text.upper(), mentions_bot=mentions_bot) is command


@pytest.mark.parametrize("command", Command)
@pytest.mark.parametrize("form", ["{}", "{}!", " {} . ", "/{}"])
def test_the_word_alone_needs_a_mention(command: Command, form: str) -> None:
    """ "stop" is a command only with a mention, because people may say it to each other."""
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
    """It is so after a greeting too, and a message to the whole channel is not for the bot either."""
    assert addresses_other(text)


@pytest.mark.parametrize(
    "text",
    ["it works for <@U2>", "hello", "", "ask <@U2> please", "<https://example.org|here>", "hi there <@U2>", "<@"],
)
def test_a_name_further_on_addresses_nobody(text: str) -> None:
    """A mention further on in the text addresses nobody."""
    assert not addresses_other(text)


@given(text=st.text(), mentions_bot=st.booleans())
def test_any_text_can_be_read(text: str, *, mentions_bot: bool) -> None:
    """No text raises an error, and every command that is found is that word without its punctuation."""
    addresses_other(text)
    command = read_command(text, mentions_bot=mentions_bot)

    assert command is None or text.strip(" .!\n\t").casefold().strip() == command.value


def test_a_long_text_is_read_at_once() -> None:
    """Reading takes linear time, whatever the text is."""
    for piece in ("<@", " ", "hi ", "hi, ", "<@U"):
        assert not addresses_other(piece * 100_000)


def test_a_thread_is_told_by_all_its_parts() -> None:
    """In logs a thread is one word with all four parts."""
    assert str(Thread("slack", "T1", "C1", "1.0")) == "slack:T1:C1:1.0"


def test_storable_text_is_left_as_it_is() -> None:
    """Only characters that a database refuses are changed."""
    assert storable("Grüße 👋\n\t\x01") == "Grüße 👋\n\t\x01"
    assert storable("a\0b\udc80") == "ab?"
