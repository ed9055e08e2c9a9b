"""bot.slack.inbound.interactions.resets: `/reset`, its argument, and the session picker."""

import pytest

from bot.domain import session_texts, texts
from bot.domain.sessions import ResetOutcome
from bot.slack.views.session_picker import MAX_SESSIONS, RESET_ALL, RESET_SESSION
from tests.support.slack_inbound_stage import inbound_stage


@pytest.mark.parametrize(("command", "words"), [("/reset", ""), ("/attendant", "reset")])
async def test_reset_without_a_session(command: str, words: str) -> None:
    """If the person has no session, the reply says so, and nothing is reset."""
    async with inbound_stage() as slack:
        assert (await slack.command(command, words)).text == texts.SLASH_NOTHING
        assert slack.inbox.resets == []


async def test_reset_of_the_only_session() -> None:
    """The person's only session in the channel is reset at once."""
    async with inbound_stage() as slack:
        (session,) = slack.add_sessions("My VPN is down")

        assert (await slack.command("/reset")).text == texts.reset_count(1)
        assert slack.inbox.resets == [(session, slack.ana.id)]


async def test_reset_in_a_direct_message() -> None:
    """In a direct message all sessions are reset, without a picker."""
    async with inbound_stage(dm_sessions="threads") as slack:
        dm = slack.workspace.dm(slack.ana)
        slack.add_sessions("one", "two", channel=dm.name)

        assert (await slack.command("/reset", channel=dm)).text == texts.reset_count(2)
        assert slack.inbox.resets == [(f"slack:{slack.workspace.team.id}:{dm.id}", slack.ana.id)]


async def test_reset_in_a_rolling_direct_message() -> None:
    """Where the direct message is one conversation, that one is reset. With none, there is a picker of the threads."""
    async with inbound_stage() as slack:
        dm = slack.workspace.dm(slack.ana)
        assert (await slack.command("/reset", channel=dm)).text == texts.reset_count(1)
        assert slack.inbox.resets == [(f"{dm.id}:", slack.ana.id)]
        slack.inbox.outcome = ResetOutcome.NOTHING
        slack.add_sessions("one", "two", channel=dm.name)

        assert (await slack.command("/reset", channel=dm)).text == texts.CHOOSE_SESSION


async def test_one_of_several_sessions() -> None:
    """The person picks one of several sessions by its button, and the outcome replaces the picker."""
    async with inbound_stage() as slack:
        _, session = slack.add_sessions("My VPN is down", "My mouse squeaks")
        picker = await slack.command("/reset")
        assert slack.inbox.resets == []
        slack.workspace.interactions.press(slack.ana, picker, RESET_SESSION, session)
        await slack.workspace.until(lambda: slack.only_ephemeral() == texts.reset_count(1))

        assert "My mouse squeaks" in str(picker.blocks)
        assert slack.inbox.resets == [(session, slack.ana.id)]


async def test_more_sessions_than_are_listed() -> None:
    """A picker that does not list all sessions shows the number of the others."""
    async with inbound_stage() as slack:
        slack.add_sessions(*map(str, range(60)))
        blocks = (await slack.command("/reset")).blocks

        assert blocks[-2]["text"]["text"] == session_texts.more_conversations(60 - MAX_SESSIONS)


async def test_all_of_several_sessions() -> None:
    """The last button of the picker resets all sessions."""
    async with inbound_stage() as slack:
        slack.add_sessions("one", "two", "three")
        slack.workspace.interactions.press(slack.ana, await slack.command("/reset"), RESET_ALL)
        await slack.workspace.until(lambda: slack.only_ephemeral() == texts.reset_count(3))


@pytest.mark.parametrize(
    ("outcome", "reply"),
    [
        (ResetOutcome.NOTHING, texts.ALREADY_RESET),
        (ResetOutcome.NOT_YOURS, texts.reset(ResetOutcome.NOT_YOURS)),
    ],
)
async def test_a_button_that_comes_too_late(outcome: ResetOutcome, reply: str) -> None:
    """A button of a session that is closed, or not the person's, says so."""
    async with inbound_stage() as slack:
        session, _ = slack.add_sessions("one", "two")
        slack.inbox.outcome = outcome
        slack.workspace.interactions.press(slack.ana, await slack.command("/reset"), RESET_SESSION, session)
        await slack.workspace.until(lambda: slack.only_ephemeral() == reply)


async def test_reset_all_by_argument() -> None:
    """`/reset all` resets all sessions without a picker."""
    async with inbound_stage() as slack:
        slack.add_sessions("one", "two")
        assert (await slack.command("/reset", "ALL")).text == texts.reset_count(2)


@pytest.mark.parametrize(
    ("outcome", "reply"),
    [
        (ResetOutcome.DONE, texts.reset(ResetOutcome.DONE)),
        (ResetOutcome.NOTHING, texts.THREAD_NOT_FOUND),
        (ResetOutcome.NOT_YOURS, texts.THREAD_NOT_FOUND),
    ],
)
async def test_reset_by_permalink(outcome: ResetOutcome, reply: str) -> None:
    """A permalink picks its thread. The reply does not reveal whether other people have a session there."""
    async with inbound_stage() as slack:
        slack.inbox.outcome = outcome
        link = "https://harbour-and-co.slack.com/archives/C0ITTEAM00/p1712345678000200?thread_ts=1712345678.000100"

        assert (await slack.command("/reset", link)).text == reply
        assert slack.inbox.resets == [("C0ITTEAM00:1712345678.000100", slack.ana.id)]


async def test_an_unknown_argument() -> None:
    """An argument that is neither `all` nor a permalink is explained, and nothing is reset."""
    async with inbound_stage() as slack:
        assert (await slack.command("/reset", "my password")).text == texts.UNKNOWN_CHOICE
        assert slack.inbox.resets == []
