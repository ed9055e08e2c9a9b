"""Long answers: beyond some messages the rest comes as a file, once, and not where Slack refuses files."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from bot.domain.activities import WRITING_REST
from bot.domain.long_answer_texts import FILE_TITLE, REST_IN_FILE
from bot.slack.outbound import answer_file, answer_text
from bot.slack.text.message_splitter import MESSAGE_BYTES
from tests.support.slack_stage import AnswerSource, Stage, stage
from tests.support.timeouts import GENEROUS_S
from tests.support.virtual_time import in_virtual_time

UPLOAD, SHARE = "files.getUploadURLExternal", "files.completeUploadExternal"


def words(first: int, count: int) -> str:
    """Return a text of so many words, each unique."""
    return " ".join(f"word{number}" for number in range(first, first + count)) + " "


LONG = words(0, 4_000)  # 35,000 bytes


def files(slack: Stage) -> list[tuple[str, str]]:
    """Return the name and the text of each of the bot's files in the thread."""
    shared = [file for answer in slack.answers() for file in answer.files if file.get("mode") != "tombstone"]
    found = []
    for file in shared:
        content = slack.workspace.uploads[file["id"]].content
        assert content is not None
        found.append((file["name"], content.decode()))
    return found


def said(slack: Stage) -> list[str]:
    """Return the texts of the bot's messages that are no files."""
    return [answer.shown_text for answer in slack.answers() if not answer.files]


def all_words(slack: Stage) -> list[str]:
    """Return all words of the answer, in the order in which a person reads them."""
    texts: Sequence[str] = [*said(slack), *(text for _, text in files(slack))]
    return " ".join(texts).replace(REST_IN_FILE, "").split()


@pytest.mark.parametrize("streaming", ["auto", "off"])
@pytest.mark.parametrize("channel", ["help-desk", "dm"])
@in_virtual_time
async def test_the_rest_comes_as_a_file(channel: str, streaming: str) -> None:
    """The first messages are as ever. The last of them says where the rest is, and the file follows it."""
    async with stage(channel, streaming, long_answer_messages=2) as slack:
        await slack.reply(AnswerSource(LONG))

        first, second = said(slack)
        assert len(first.encode()) > MESSAGE_BYTES * 0.7
        assert second.endswith(REST_IN_FILE)
        assert len(second.encode()) <= MESSAGE_BYTES
        assert all_words(slack) == LONG.split()
        assert [bool(answer.files) for answer in slack.answers()] == [False, False, True]
        [file] = slack.answers()[-1].files
        assert (file["title"], file["name"].startswith("answer-"), file["name"].endswith(".md")) == (
            FILE_TITLE,
            True,
            True,
        )
        assert slack.workspace.statuses.text(slack.channel, slack.root) == ""


@in_virtual_time
async def test_an_answer_that_fits_has_no_file() -> None:
    """Exactly the allowed messages need none, and neither does an answer without such a limit."""
    async with stage(long_answer_messages=2) as slack:
        await slack.reply(AnswerSource(words(0, 1_500)))
        assert len(said(slack)) == 2
        assert files(slack) == []
    async with stage(long_answer_messages=0) as slack:
        await slack.reply(AnswerSource(LONG))
        assert files(slack) == []
        assert all_words(slack) == LONG.split()


@in_virtual_time
async def test_a_code_block_goes_on_in_the_file() -> None:
    """It is closed in the message, and opened again with its language in the file."""
    async with stage(long_answer_messages=1) as slack:
        await slack.reply(AnswerSource("```python\n" + "".join(f"x{n} = {n}\n" for n in range(2_000)) + "```\n"))

        [message], [(_, text)] = said(slack), files(slack)
        assert message.endswith(f"```\n\n{REST_IN_FILE}")
        assert text.startswith("```python\n")


@in_virtual_time
async def test_the_bots_own_lines_stay_in_the_message() -> None:
    """A line below the answer, such as that it was stopped, is not hidden in the file."""
    async with stage(long_answer_messages=1) as slack:
        async with slack.adapter.writer(slack.target(), slack.ledger) as writer:
            writer.write(LONG)
            writer.close_with("\n\n_(Stopped.)_")
            await writer.finish()

        [message], [(_, text)] = said(slack), files(slack)
        assert message.endswith(f"{REST_IN_FILE}\n\n_(Stopped.)_")
        assert "Stopped" not in text


@in_virtual_time
async def test_such_a_line_alone_makes_no_file() -> None:
    """An answer that fits, and whose last line does not, goes on in a message."""
    async with stage(long_answer_messages=1) as slack:
        async with slack.adapter.writer(slack.target(), slack.ledger) as writer:
            writer.write("x" * (MESSAGE_BYTES - answer_text.NOTE_BYTES))
            writer.close_with("\n\n" + "y" * 990)
            await writer.finish()

        assert files(slack) == []


@pytest.mark.parametrize("method", [UPLOAD, SHARE])
@in_virtual_time
async def test_the_rest_comes_in_messages_where_slack_refuses_files(method: str) -> None:
    """Slack is not asked again. Nothing speaks of a file."""
    async with stage(long_answer_messages=1) as slack:
        slack.server.faults.refuse(method, "missing_scope")
        await slack.reply(AnswerSource(LONG))
        assert len(said(slack)) > 3
        assert all_words(slack) == LONG.split()
        assert files(slack) == []
        assert slack.ledger.files == []

        before = slack.server.calls.count(UPLOAD)
        await slack.reply(AnswerSource(LONG))
        assert slack.server.calls.count(UPLOAD) == before
        assert REST_IN_FILE not in "".join(said(slack))


@in_virtual_time
async def test_the_rest_comes_in_messages_where_no_bytes_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy may refuse the host that takes files."""
    monkeypatch.setattr(answer_file, "is_slacks", lambda *_: False)
    async with stage(long_answer_messages=1) as slack:
        await slack.reply(AnswerSource(LONG))

        assert all_words(slack) == LONG.split()
        assert (files(slack), slack.ledger.files) == ([], [])


@pytest.mark.parametrize("streaming", ["auto", "off"])
async def test_the_asker_sees_that_the_rest_is_written(streaming: str) -> None:
    """While the rest grows out of sight, a status says so. It ends with the answer."""
    async with stage(streaming=streaming, long_answer_messages=1) as slack:
        source, place = AnswerSource(), slack.workspace
        source.add(LONG)
        async with slack.adapter.writer(slack.target(), slack.ledger) as writer:
            writer.write(LONG)
            await place.until(
                lambda: place.statuses.text(slack.channel, slack.root) == WRITING_REST, timeout_s=GENEROUS_S
            )
            writer.write("the end")
            await writer.finish()

        assert all_words(slack) == [*LONG.split(), "the", "end"]
        assert place.statuses.text(slack.channel, slack.root) == ""


@pytest.mark.parametrize("text", [LONG, words(50_000, 4_000), "short"], ids=["same", "other", "short"])
@in_virtual_time
async def test_a_later_attempt_leaves_one_file_or_none(text: str) -> None:
    """An attempt that ended after the upload left its file. It stays for the same text, and is deleted otherwise."""
    async with stage(long_answer_messages=1) as slack:
        await slack.reply(AnswerSource(LONG))
        [(name, _)] = files(slack)
        await slack.reply(AnswerSource(text), attempt=2)

        assert all_words(slack) == text.split()
        assert len(slack.ledger.files) == len(files(slack))
        assert slack.server.calls.count(SHARE) == (2 if text.startswith("word50000") else 1)
        assert ([name for name, _ in files(slack)] == [name]) is (text == LONG)


@in_virtual_time
async def test_an_interrupted_answer_takes_its_file_along() -> None:
    """An attempt that only removes what earlier ones left removes the file, too."""
    async with stage(long_answer_messages=1) as slack:
        await slack.reply(AnswerSource(LONG))
        await slack.reply(AnswerSource(""), attempt=2)

        assert slack.answers() == []
        assert slack.ledger.files == []


@in_virtual_time
async def test_a_restart_drops_the_collected_rest() -> None:
    """The model is asked again, and gives a short answer."""
    async with stage(long_answer_messages=1) as slack:
        async with slack.adapter.writer(slack.target(), slack.ledger) as writer:
            writer.write(LONG)
            await slack.limiter.clock.pause(5.0)
            writer.restart()
            writer.write("short")
            await writer.finish()

        assert said(slack) == ["short"]
        assert files(slack) == []


@pytest.mark.parametrize("happened", [True, False])
@in_virtual_time
async def test_a_share_that_slack_does_not_confirm_stands_once(*, happened: bool) -> None:
    """If the file stands in the thread, that is it. If not, the rest comes in messages."""
    async with stage(long_answer_messages=1) as slack:
        (slack.server.faults.lose_answer if happened else slack.server.faults.fail)(SHARE, status=502)
        await slack.reply(AnswerSource(LONG))

        assert all_words(slack) == LONG.split()
        assert len(files(slack)) == len(slack.ledger.files) == (1 if happened else 0)


@in_virtual_time
async def test_a_file_that_slack_keeps_is_left() -> None:
    """Where Slack refuses to delete an old file, the answer goes on."""
    async with stage(long_answer_messages=1) as slack:
        await slack.reply(AnswerSource(LONG))
        slack.server.faults.refuse("files.delete", "cant_delete_file")
        await slack.reply(AnswerSource("short"), attempt=2)

        assert said(slack) == ["short"]
