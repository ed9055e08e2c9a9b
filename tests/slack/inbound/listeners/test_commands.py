"""bot.slack.inbound.listeners.commands: the replies to slash commands."""

import pytest

from bot.domain import texts
from tests.support.slack_inbound_stage import inbound_stage


async def test_help() -> None:
    """`/attendant` replies with the help text to `help`, to no subcommand, and to an unknown one."""
    async with inbound_stage() as slack:
        replies = [(await slack.command("/attendant", word)).text for word in ("", "help", "dance")]

        assert replies[0] == replies[1] == texts.help_text("attendant", "/attendant", "/reset")
        assert replies[2] == f"{texts.UNKNOWN_COMMAND}\n{replies[0]}"


@pytest.mark.parametrize(("command", "words"), [("/reset", ""), ("/attendant", "status"), ("/reset", "all")])
async def test_a_command_when_the_database_fails(command: str, words: str) -> None:
    """The person reads an apology."""
    async with inbound_stage() as slack:
        slack.inbox.failures_left = 1
        assert (await slack.command(command, words)).text == texts.SOMETHING_BROKE
