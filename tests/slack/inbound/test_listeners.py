"""bot.slack's listeners over Socket Mode: what is taken in, what is acknowledged, what people are told."""

import logging
from datetime import UTC, datetime

import pytest

from bot.domain import texts
from bot.domain.events import (
    ChannelGone,
    MessageDeleted,
    MessageEdited,
    MessageReceived,
    ResetRequested,
    StopRequested,
    Thread,
    Uninstalled,
)
from bot.domain.sessions import OpenSession, ResetOutcome
from bot.manifest import START_OVER
from bot.slack.text import message_length
from bot.slack.views.blocks import FORGET_ME, RESET_ALL, RESET_SESSION
from tests.support.playground_stage import declare_agent
from tests.support.slack_stage import Ears, ears, eventually

THEN = datetime(2026, 1, 1, 11, tzinfo=UTC)


def have_sessions(slack: Ears, *openings: str, channel: str = "help-desk") -> list[str]:
    """Give Ana open sessions with these first words; their ids."""
    team, place = slack.workspace.team.id, slack.workspace.channel(channel).id
    for number, opening in enumerate(openings):
        thread = Thread("slack", team, place, f"1712345678.{number:06}")
        slack.ledger.sessions.append(OpenSession(f"session-{number}", thread, THEN, THEN, 1, opening))
    return [session.id for session in slack.ledger.sessions]


async def test_a_mention_is_two_events_and_one_message() -> None:
    """Both events of a mention are taken in, as the same message, and acknowledged."""
    async with ears() as slack:
        slack.workspace.post(slack.ana, slack.help_desk, "@attendant hello")
        await slack.acknowledged()
        first, second = slack.ledger.accepted

        assert first == second
        assert isinstance(first, MessageReceived)
        assert (first.text, first.mentions_bot) == ("hello", True)


async def test_what_people_write_is_taken_in() -> None:
    """Replies, files and direct messages arrive in their threads."""
    async with ears() as slack:
        root = slack.workspace.post(slack.ana, slack.help_desk, "hello").ts
        slack.workspace.post(slack.ana, slack.help_desk, "!reset", root)
        slack.workspace.post(slack.ana, slack.help_desk, "@attendant stop", root)
        slack.workspace.share_file(slack.ana, slack.help_desk, "look", name="a.png", mimetype="a/b", size_bytes=1)
        slack.workspace.post(slack.ana, slack.workspace.dm(slack.ana), "psst")
        await slack.acknowledged()

        (reset,), (stop, _) = slack.accepted(ResetRequested), slack.accepted(StopRequested)
        _, file, psst = sorted(slack.accepted(MessageReceived), key=lambda said: said.message_id)
        assert (reset.thread.root, stop.thread.root, stop.mentions_bot) == (root, root, True)
        assert [attachment.name for attachment in file.attachments] == ["a.png"]
        assert psst.thread.direct


async def test_what_is_not_for_us_is_acknowledged_all_the_same() -> None:
    """Unfurled links, topics and other bots' messages are acknowledged, and nothing else is done."""
    async with ears() as slack:
        said = slack.workspace.post(slack.ana, slack.help_desk, "hello")
        slack.workspace.change(said, blocks=())
        slack.workspace.set_topic(slack.ana, slack.help_desk, "Anything")
        slack.workspace.other_bot(slack.help_desk, "deployed")
        await slack.acknowledged()

        assert [event.message_id for event in slack.accepted(MessageReceived)] == [said.ts]
        assert (len(slack.ledger.accepted), len(slack.server.deliveries.all())) == (1, 4)


async def test_slacks_stop_button() -> None:
    """Slack's own Stop button, which it shows while an agent's answer streams, arrives as a stop in that thread."""
    async with ears() as slack:
        declare_agent(slack.workspace)
        root = slack.workspace.post(slack.ana, slack.help_desk, "hello").ts
        await slack.client.agents_sessions_setStatus(channel_id=slack.help_desk.id, thread_ts=root, status="processing")
        slack.workspace.stop(slack.ana, slack.help_desk, root)
        await slack.acknowledged()
        (stop,) = slack.accepted(StopRequested)

        assert (stop.thread.root, stop.author.id, stop.message_id) == (root, slack.ana.id, None)


async def test_deleted_messages() -> None:
    """A deleted message arrives, also one with replies, of which Slack leaves a tombstone."""
    async with ears() as slack:
        root = slack.workspace.post(slack.ana, slack.help_desk, "hello")
        reply = slack.workspace.post(slack.ana, slack.help_desk, "there", root.ts)
        slack.workspace.delete(slack.ana, root)
        slack.workspace.delete(slack.ana, reply)
        await slack.acknowledged()

        gone = slack.accepted(MessageDeleted)
        assert sorted((event.thread.root, event.message_id) for event in gone) == [
            (root.ts, root.ts),
            (root.ts, reply.ts),
        ]


async def test_edited_messages() -> None:
    """An edit arrives once, though Slack tells of it twice where the bot is mentioned."""
    async with ears() as slack:
        said = slack.workspace.post(slack.ana, slack.help_desk, "@attendant helo")
        slack.workspace.edit(slack.ana, said, "@attendant hello")
        await slack.acknowledged()

        (edited,) = slack.accepted(MessageEdited)
        assert (edited.message.message_id, edited.message.text, edited.calls_bot) == (said.ts, "hello", False)


async def test_a_channel_is_gone() -> None:
    """Archived, deleted, or without the bot: the channel is named, and everything is acknowledged."""
    async with ears() as slack:
        general, team, desk = (slack.workspace.channel(name) for name in ("general", "it-team", "help-desk"))
        slack.workspace.archive(slack.ana, general)
        slack.workspace.delete_channel(team)
        slack.workspace.remove_bot(desk)
        await slack.acknowledged()

        gone = slack.accepted(ChannelGone)
        assert sorted(event.channel for event in gone) == sorted([general.id, team.id, desk.id, desk.id])


async def test_the_app_is_removed() -> None:
    """When the app is uninstalled, its workspace is named; Slack says it twice."""
    async with ears() as slack:
        slack.workspace.uninstall()
        await slack.acknowledged()

        assert slack.accepted(Uninstalled) == [Uninstalled("slack", slack.workspace.team.id)] * 2


async def test_accepted_before_acknowledged(caplog: pytest.LogCaptureFixture) -> None:
    """When the store does not take a message it is not acknowledged, Slack delivers again, and then it is taken in."""
    async with ears(ack_within_s=0.1, retry_after_s=(0.0, 0.0, 0.0)) as slack:
        slack.ledger.out_of_order = 1
        slack.workspace.post(slack.ana, slack.help_desk, "a secret")
        await slack.acknowledged()
        (delivery,) = slack.server.deliveries.all()

        assert [attempt.acked_at is not None for attempt in delivery.attempts] == [False, True]
        assert (len(slack.ledger.accepted), slack.ledger.refusals) == (1, 1)
        assert "Slack is left to deliver it again" in caplog.text
        assert "a secret" not in caplog.text


async def test_forgetting_that_fails_is_told() -> None:
    """When the store is away the person reads that it did not work, and the button was acknowledged all the same."""
    async with ears() as slack:
        question = await slack.command("/attendant", "forget me")
        slack.ledger.out_of_order = 1
        slack.workspace.press(slack.ana, question, FORGET_ME)
        await slack.workspace.until(lambda: slack.notices()[-1].text == texts.SOMETHING_BROKE)
        assert slack.ledger.forgotten == []
        await slack.acknowledged()


async def test_help() -> None:
    """`/attendant`, with `help`, without a word or with an unknown one, tells what can be done."""
    async with ears() as slack:
        told = [(await slack.command("/attendant", word)).text for word in ("", "help", "dance")]

        assert told[0] == told[1] == texts.help_text("attendant", "/attendant", "/reset")
        assert told[2] == f"{texts.UNKNOWN_COMMAND}\n{told[0]}"


async def test_status() -> None:
    """`/attendant status` counts the caller's open sessions in that channel, and tells of the newest, with links."""
    async with ears() as slack:
        have_sessions(slack, *map(str, range(60)))
        first, *lines, last = (await slack.command("/attendant", "status")).text.splitlines()

        assert "60 open conversations" in first
        assert lines[1] == (
            "• <https://harbour-and-co.slack.com/archives/C0HELPDESK/p1712345678000001|This one>: started 1 hour ago, "
            "one answer, forgotten in 23 hours"
        )
        assert (len(lines), last) == (10, "And 50 more.")


@pytest.mark.parametrize(("command", "words"), [("/reset", ""), ("/attendant", "reset")])
async def test_reset_without_a_session(command: str, words: str) -> None:
    """Where the caller has no session, the command says so, and resets nothing."""
    async with ears() as slack:
        assert (await slack.command(command, words)).text == texts.SLASH_NOTHING
        assert slack.ledger.resets == []


async def test_reset_of_the_only_session() -> None:
    """The caller's only session in the channel is reset at once."""
    async with ears() as slack:
        (session,) = have_sessions(slack, "My VPN is down")

        assert (await slack.command("/reset")).text == texts.reset_count(1)
        assert slack.ledger.resets == [(session, slack.ana.id)]


async def test_reset_in_a_direct_message() -> None:
    """In a direct message all of that message's sessions are reset, without asking."""
    async with ears() as slack:
        dm = slack.workspace.dm(slack.ana)
        have_sessions(slack, "one", "two", channel=dm.name)

        assert (await slack.command("/reset", channel=dm)).text == texts.reset_count(2)
        assert slack.ledger.resets == [(f"slack:{slack.workspace.team.id}:{dm.id}", slack.ana.id)]


async def test_several_sessions_are_offered() -> None:
    """Of several sessions the caller chooses one by its button, and the list gives way to what became of it."""
    async with ears() as slack:
        _, session = have_sessions(slack, "My VPN is down", "My mouse squeaks")
        offered = await slack.command("/reset")
        assert slack.ledger.resets == []
        slack.workspace.press(slack.ana, offered, RESET_SESSION, session)
        await slack.workspace.until(lambda: _only_notice(slack) == texts.reset_count(1))

        assert "My mouse squeaks" in str(offered.blocks)
        assert slack.ledger.resets == [(session, slack.ana.id)]


async def test_more_sessions_than_are_listed() -> None:
    """A list that does not hold all of the caller's sessions says how many more there are."""
    async with ears() as slack:
        have_sessions(slack, *map(str, range(60)))
        blocks = (await slack.command("/reset")).blocks

        assert blocks[-2]["text"]["text"] == texts.more_conversations(60 - message_length.LISTED_SESSIONS)


async def test_all_of_several_sessions() -> None:
    """One button of the list resets all of them."""
    async with ears() as slack:
        have_sessions(slack, "one", "two", "three")
        slack.workspace.press(slack.ana, await slack.command("/reset"), RESET_ALL)
        await slack.workspace.until(lambda: _only_notice(slack) == texts.reset_count(3))


async def test_a_button_behind_a_proxy(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """The environment's proxy, which does not lead to this machine, is not asked when a button is answered."""
    for variable in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    async with ears() as slack:
        session, _ = have_sessions(slack, "one", "two")
        slack.workspace.press(slack.ana, await slack.command("/reset"), RESET_SESSION, session)
        await slack.workspace.until(lambda: _only_notice(slack) == texts.reset_count(1))
    assert not caplog.records


async def test_a_button_whose_response_url_is_worn_out() -> None:
    """When the list cannot be replaced any more, the person is told below it."""
    async with ears() as slack:
        session, _ = have_sessions(slack, "one", "two")
        slack.workspace.press(slack.ana, await slack.command("/reset"), RESET_SESSION, session)
        slack.workspace.response_urls.clear()
        await slack.workspace.until(lambda: slack.notices()[-1].text == texts.reset_count(1))
        assert slack.ledger.resets == [(session, slack.ana.id)]


async def test_a_button_whose_outcome_cannot_be_shown(caplog: pytest.LogCaptureFixture) -> None:
    """When nothing can be shown the log says so, without the response URL, and nothing else breaks."""
    async with ears() as slack:
        session, _ = have_sessions(slack, "one", "two")
        slack.server.faults.refuse("chat.postEphemeral", "not_in_channel")
        slack.workspace.press(slack.ana, await slack.command("/reset"), RESET_SESSION, session)
        slack.workspace.response_urls.clear()
        await eventually(lambda: "a notice could not be posted: not_in_channel" in caplog.text)

    assert "a response URL was refused: http_404" in caplog.text
    assert "secret-" not in caplog.text
    assert "a listener failed" not in caplog.text


@pytest.mark.parametrize(
    ("outcome", "told"),
    [
        (ResetOutcome.NOTHING, texts.ALREADY_RESET),
        (ResetOutcome.NOT_YOURS, texts.reset(ResetOutcome.NOT_YOURS)),
    ],
)
async def test_a_button_that_comes_too_late(outcome: ResetOutcome, told: str) -> None:
    """A button for what is not open any more, or not theirs, says so."""
    async with ears() as slack:
        session, _ = have_sessions(slack, "one", "two")
        slack.ledger.outcome = outcome
        slack.workspace.press(slack.ana, await slack.command("/reset"), RESET_SESSION, session)
        await slack.workspace.until(lambda: _only_notice(slack) == told)


async def test_reset_all_by_word() -> None:
    """`/reset all` picks all without asking."""
    async with ears() as slack:
        have_sessions(slack, "one", "two")
        assert (await slack.command("/reset", "ALL")).text == texts.reset_count(2)


@pytest.mark.parametrize(
    ("outcome", "told"),
    [
        (ResetOutcome.DONE, texts.reset(ResetOutcome.DONE)),
        (ResetOutcome.NOTHING, texts.THREAD_NOT_FOUND),
        (ResetOutcome.NOT_YOURS, texts.THREAD_NOT_FOUND),
    ],
)
async def test_reset_by_link(outcome: ResetOutcome, told: str) -> None:
    """A link picks its thread; whether others have a conversation there is not told."""
    async with ears() as slack:
        slack.ledger.outcome = outcome
        link = "https://harbour-and-co.slack.com/archives/C0ITTEAM00/p1712345678000200?thread_ts=1712345678.000100"

        assert (await slack.command("/reset", link)).text == told
        assert slack.ledger.resets == [("C0ITTEAM00:1712345678.000100", slack.ana.id)]


async def test_reset_with_other_words() -> None:
    """Words that are neither `all` nor a link are explained, and reset nothing."""
    async with ears() as slack:
        assert (await slack.command("/reset", "my password")).text == texts.UNKNOWN_CHOICE
        assert slack.ledger.resets == []


@pytest.mark.parametrize(("command", "words"), [("/reset", ""), ("/attendant", "status"), ("/reset", "all")])
async def test_a_command_when_the_store_is_away(command: str, words: str) -> None:
    """When the store does not answer, the caller reads a plain sentence."""
    async with ears() as slack:
        slack.ledger.out_of_order = 1
        assert (await slack.command(command, words)).text == texts.SOMETHING_BROKE


async def test_the_shortcut_starts_over() -> None:
    """The message shortcut resets the thread of the message, and tells only the person."""
    async with ears() as slack:
        root = slack.workspace.post(slack.ana, slack.help_desk, "hello").ts
        reply = slack.workspace.post(slack.ana, slack.help_desk, "there", root)
        slack.workspace.shortcut(slack.ana, reply, START_OVER)
        await slack.workspace.until(lambda: bool(slack.notices()))
        (told,) = slack.notices()

        assert (told.text, told.thread_ts) == (texts.reset(ResetOutcome.DONE), root)
        assert slack.ledger.resets == [(f"{slack.help_desk.id}:{root}", slack.ana.id)]


async def test_the_shortcut_on_a_message_without_replies() -> None:
    """Where there is no thread to show anything in, the person is told in the channel."""
    async with ears() as slack:
        message = slack.workspace.post(slack.ana, slack.help_desk, "hello")
        slack.workspace.shortcut(slack.ana, message, START_OVER)
        await slack.workspace.until(lambda: bool(slack.notices()))
        (told,) = slack.notices()
        assert (told.text, told.thread_ts) == (texts.reset(ResetOutcome.DONE), None)


@pytest.mark.parametrize("replied", [True, False])
async def test_the_shortcut_where_the_bot_is_not(replied: bool) -> None:  # noqa: FBT001 - a table's column
    """In a channel that the bot is not in, the shortcut's outcome is shown all the same."""
    async with ears() as slack:
        message = slack.workspace.post(slack.ana, slack.help_desk, "hello")
        if replied:
            slack.workspace.post(slack.ana, slack.help_desk, "there", message.ts)
        slack.workspace.remove_bot(slack.help_desk)
        slack.workspace.shortcut(slack.ana, message, START_OVER)
        await slack.workspace.until(lambda: bool(slack.notices()))
        assert _only_notice(slack) == texts.reset(ResetOutcome.DONE)


async def test_what_breaks_is_logged_without_what_was_said(caplog: pytest.LogCaptureFixture) -> None:
    """An unforeseen failure is logged with its place, not with its words, which may quote a person."""
    async with ears(ack_within_s=0.1, retry_after_s=()) as slack:
        slack.ledger.accepted = None  # type: ignore[assignment]  # so that it breaks
        slack.workspace.post(slack.ana, slack.help_desk, "a secret")
        await slack.workspace.until(lambda: all(delivery.done for delivery in slack.server.deliveries.all()))

        assert "a listener failed with AttributeError" in caplog.text
        assert "a secret" not in caplog.text
        assert slack.ledger.refusals == 1
        assert not [record for record in caplog.records if record.levelno < logging.WARNING and "slack" in record.name]


def _only_notice(slack: Ears) -> str:
    (notice,) = slack.notices()
    return notice.text
