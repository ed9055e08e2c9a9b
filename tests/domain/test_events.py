"""Events: the texts that are commands, and the people whom a message addresses."""

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
    """Only the exact word is a command, so that questions about resets reach the model."""
    assert read_command(text, mentions_bot=mentions_bot) is None


@pytest.mark.parametrize(
    "text", ["<@U2> can you look?", " hi <@U2|ben>,", "Hey, <@U2>", "thank you <@U2>", "<!here> lunch", "cc <@U2>"]
)
def test_a_message_that_opens_with_a_name_is_for_that_person(text: str) -> None:
    """A mention after a greeting addresses a person too. A message to the whole channel does not address the bot."""
    assert addresses_other(text)


@pytest.mark.parametrize(
    "text",
    ["it works for <@U2>", "hello", "", "ask <@U2> please", "<https://example.org|here>", "hi there <@U2>", "<@"],
)
def test_a_mention_in_the_middle_addresses_no_one(text: str) -> None:
    """A mention in the middle of a text addresses no one."""
    assert not addresses_other(text)


@given(text=st.text(), mentions_bot=st.booleans())
def test_any_text_can_be_read(text: str, *, mentions_bot: bool) -> None:
    """No text raises an error. A text is read as a command only if it is that word with punctuation."""
    addresses_other(text)
    command = read_command(text, mentions_bot=mentions_bot)

    assert command is None or text.strip(" .!\n\t").casefold().strip() == command.value


def test_a_long_text_is_read_at_once() -> None:
    """Parsing any text takes linear time."""
    for piece in ("<@", " ", "hi ", "hi, ", "<@U"):
        assert not addresses_other(piece * 100_000)


def test_a_thread_key_has_all_four_parts() -> None:
    """Logs write a thread as one word that contains all four parts of its key."""
    assert str(Thread("slack", "T1", "C1", "1.0")) == "slack:T1:C1:1.0"


def test_storable_text_is_left_as_it_is() -> None:
    """Only characters that a database refuses are replaced."""
    assert storable("Grüße 👋\n\t\x01") == "Grüße 👋\n\t\x01"
    assert storable("a\0b\udc80") == "ab?"
