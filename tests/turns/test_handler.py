"""A claimed turn: shown to the model as it should be, said in its thread, settled as it ended. On both databases."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

import pytest

from bot.domain import texts
from bot.domain.events import MessageReceived, ResetRequested
from bot.domain.sessions import Interrupted
from bot.errors import ModelError, PlatformError, PlatformUnavailable, Trouble
from bot.llm import Usage
from bot.prompt.thread_context import EarlierMessage, ThreadContext
from bot.prompt.tokens import estimate_tokens
from bot.store import claims, interruptions, posted_messages, tables, thread_context
from bot.store.claims import PlatformClaim
from bot.store.settlement import TurnState
from bot.testing import ScriptedLLM
from bot.turns.answer import AnswerStream
from bot.turns.policies import DURABLE
from bot.turns.running_turn import RunningTurn
from tests.support.builders import ANA, BEN, DAY, THREAD, mention, reply, reset
from tests.support.store_driver import MINUTE, Books
from tests.support.work_layer import MAX_ATTEMPTS, Desk

WORDS = "my-password-is-hunter2"
REFUSED = PlatformError("is_archived", "posting the answer")
AWAY = PlatformUnavailable("the platform cannot be reached")


async def answered(desk: Desk, claim: PlatformClaim) -> list[AnswerStream]:
    """Answer the claim; the answers that were begun."""
    desk.assistant.begun.clear()
    turn = RunningTurn(claim, DURABLE)
    turn.hold(time.monotonic() + 60)
    await desk.handler.handle(turn)
    turn.release()
    return desk.assistant.begun


async def claimed(books: Books, *messages: MessageReceived) -> PlatformClaim:
    """A claim over these messages."""
    for message in messages:
        thread_id = await books.accepted(message)
    return await books.claimed(thread_id)


def shown_to(llm: ScriptedLLM) -> Sequence[str]:
    """What the model was shown last, besides the persona."""
    return [message["content"] for message in llm.calls[-1].messages[1:]]


async def test_an_answer_is_shown_and_settled_with_its_cost(desk: Desk, books: Books, llm: ScriptedLLM) -> None:
    """What the model said stands in the thread and in the turn; the thread is free again."""
    llm.script("Hello ", "Ana", usage=Usage(10, 4, 2))
    claim = await claimed(books, mention("hi"))
    [begun] = await answered(desk, claim)

    assert desk.adapter.replies[THREAD] == ["Hello Ana"]
    assert begun.result.text == "Hello Ana"
    [turn] = await desk.turns()
    assert (turn.state, turn.answer) == ("answered", "Hello Ana")
    assert (turn.model, turn.prompt_tokens, turn.cached_tokens, turn.completion_tokens) == ("scripted", 10, 4, 2)
    assert await books.claim(claim.thread_id) is None


async def test_the_reply_is_for_the_author_of_the_newest_message(desk: Desk, books: Books, llm: ScriptedLLM) -> None:
    """Whoever wrote last is whom the platform shows the answer to first."""
    llm.script("ok")
    await answered(desk, await claimed(books, mention("hi", "1.0", by=ANA), reply("me too", "2.0", by=BEN)))

    [asked] = desk.adapter.asked
    assert (asked.thread, asked.author, asked.message_id) == (THREAD, BEN, "2.0")


async def test_the_model_knows_what_was_said_before(desk: Desk, books: Books, llm: ScriptedLLM) -> None:
    """Earlier turns of the session come before the question."""
    await books.answer(mention("my VPN is down", "1.0"), "Which system?")
    llm.script("ok")
    await answered(desk, await claimed(books, reply("Windows", "2.0"), reply("11", "3.0")))

    assert shown_to(llm) == ["my VPN is down", "Which system?", "Windows\n\n11"]


async def test_one_person_alone_is_not_looked_up(desk: Desk, books: Books, llm: ScriptedLLM) -> None:
    """Nobody's name is fetched, or told to the model, where there is nobody to be told apart."""
    await books.answer(mention("hi", "1.0"))
    llm.script("ok")
    await answered(desk, await claimed(books, reply("hello?", "2.0")))

    assert desk.adapter.looked_up == []


async def test_several_people_are_told_apart(desk: Desk, books: Books, llm: ScriptedLLM) -> None:
    """From the turn in which a second person writes, messages carry names; what was shown before stays as it was."""
    desk.adapter.people = {"U-ANA": "Ana"}
    await books.answer(mention("hi", "1.0", by=ANA), "hello")
    llm.script("ok")
    await answered(desk, await claimed(books, reply("me too", "2.0", by=BEN)))

    assert desk.adapter.looked_up == [{"U-ANA", "U-BEN"}]
    assert shown_to(llm) == ["hi", "hello", "[Until here only Ana was writing.]\n\nSomebody: me too"]


async def test_whoever_is_mentioned_is_looked_up(desk: Desk, books: Books, llm: ScriptedLLM) -> None:
    """A mention reads as a name, also where one person alone is speaking."""
    desk.adapter.people = {"U-BEN": "Ben"}
    llm.script("ok")
    await answered(desk, await claimed(books, mention("is <@U-BEN> in?")))

    assert desk.adapter.looked_up == [{"U-BEN"}]
    assert shown_to(llm) == ["is @Ben in?"]


PRINTERS = ThreadContext((EarlierMessage("1.0", "U-BEN", "who knows printers?"),))


async def test_what_was_said_before_is_read_for_the_first_answer(desk: Desk, books: Books, llm: ScriptedLLM) -> None:
    """Before the oldest message of the turn; the next turn is shown the same, and reads nothing."""
    desk.adapter.people, desk.adapter.background = {"U-ANA": "Ana", "U-BEN": "Ben"}, PRINTERS
    llm.script("ok")
    await answered(desk, await claimed(books, mention("well?", "5.0"), reply("hello?", "6.0")))
    first = shown_to(llm)
    llm.script("ok")
    await answered(desk, await claimed(books, reply("and now?", "7.0")))

    assert desk.adapter.read == [(THREAD, "5.0")]
    assert "Ben: who knows printers?" in first[0]
    assert first[0].endswith("Ana: well?\n\nAna: hello?")
    assert list(shown_to(llm)) == [*first, "ok", "Ana: and now?"]


@pytest.mark.parametrize("read", [False, True])
async def test_a_takeover_knows_what_was_said_before(desk: Desk, books: Books, llm: ScriptedLLM, *, read: bool) -> None:
    """Read already by the worker that died, or not yet: the answer knows it, and it is kept once."""
    desk.adapter.background = PRINTERS
    claim = await claimed(books, mention("well?", "5.0"))
    if read:
        await books.store.run(thread_context.keep, claim.thread_id, "s1", claim.turn_id, PRINTERS)
    llm.script("ok")
    await answered(desk, await books.taken_over(claim))

    assert "who knows printers?" in shown_to(llm)[0]
    assert len(desk.adapter.read) == (0 if read else 1)
    assert len(await books.rows(tables.THREAD_CONTEXT)) == 1


async def test_what_was_said_before_takes_no_more_than_half_of_the_room(
    desk: Desk, books: Books, llm: ScriptedLLM
) -> None:
    """However much it is, there is room for the conversation."""
    said = [EarlierMessage(f"{number:04}", "U-BEN", "x" * 100) for number in range(50)]
    desk.adapter.background = ThreadContext(tuple(said))
    llm.script("ok")
    await answered(desk, await claimed(books, mention("well?", "5.0")))

    assert sum(map(estimate_tokens, shown_to(llm))) < 500
    assert "left out" in shown_to(llm)[0]


@pytest.mark.parametrize("fails", [False, True])
async def test_after_an_expiry_it_says_so_once(desk: Desk, books: Books, llm: ScriptedLLM, *, fails: bool) -> None:
    """The line stands before the first answer, or before the sentence of its trouble; it is not the model's words."""
    await books.answer(mention("hi", "1.0"))
    books.now += DAY + MINUTE
    llm.script(*([ModelError(Trouble.TIMEOUT, "slow")] if fails else ["Hello", " again"]))
    await answered(desk, await claimed(books, reply("hello?", "2.0")))
    llm.script("And again")
    await answered(desk, await claimed(books, reply("so?", "3.0")))

    first = texts.trouble(Trouble.TIMEOUT) if fails else "Hello again"
    assert desk.adapter.replies[THREAD] == [f"{texts.STARTED_FRESH}\n\n{first}", "And again"]
    assert "while" not in str((await desk.turns())[-2].answer)


@pytest.mark.parametrize("said", [(), ("Half an",)], ids=["before", "midway"])
async def test_trouble_is_told_and_remembered(
    desk: Desk, books: Books, llm: ScriptedLLM, caplog: pytest.LogCaptureFixture, said: tuple[str, ...]
) -> None:
    """The turn failed, with what was said, and the operator reads where and why; the next one knows, and works."""
    llm.script(*said, ModelError(Trouble.UNAVAILABLE, "503"))
    await answered(desk, await claimed(books, mention("hi", "1.0")))
    llm.script("I am back")
    await answered(desk, await claimed(books, reply("hello?", "2.0")))

    assert desk.adapter.replies[THREAD] == ["\n\n".join([*said, texts.trouble(Trouble.UNAVAILABLE)]), "I am back"]
    [line] = [vars(found) for found in caplog.records if found.levelno >= logging.ERROR]
    assert (line["place"], line["trouble"], line["detail"]) == (str(THREAD), "unavailable", "503")
    [failed, _] = await desk.turns()
    assert (failed.state, failed.trouble) == ("failed", "unavailable")
    assert shown_to(llm) == ["hi", "\n\n".join([*said, texts.FAILED_TURN]), "hello?"]


async def test_a_refusal_of_the_platform_fails_the_turn(
    desk: Desk, books: Books, llm: ScriptedLLM, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing could be shown, so that nothing is tried again; the operator reads the platform's word for why."""
    desk.adapter.failures = [REFUSED]
    claim = await claimed(books, mention(WORDS))
    await answered(desk, claim)

    assert [turn.state for turn in await desk.turns()] == ["failed"]
    assert await books.claim(claim.thread_id) is None
    [line] = [vars(record) for record in caplog.records if record.getMessage() == "answer_refused_by_platform"]
    assert "is_archived" in line["detail"]
    assert llm.calls == []


async def test_a_fixed_reply_is_said_without_the_model(desk: Desk, books: Books, llm: ScriptedLLM) -> None:
    """A reset is confirmed in one line of ours."""
    await books.answer(mention("hi", "1.0"))
    await books.accept_reset(reset("2.0"))
    begun = await answered(desk, await books.claimed(1))

    assert desk.adapter.replies[THREAD] == [
        "Done! I've forgotten this conversation. Your next message here starts a new one."
    ]
    assert (begun, llm.calls) == ([], [])
    assert (await desk.turns())[-1].state == "answered"


async def test_a_fixed_reply_that_cannot_be_shown_fails(desk: Desk, books: Books) -> None:
    """It is not tried for ever."""
    desk.adapter.failures = [REFUSED]
    await books.accept_reset(ResetRequested(THREAD, "1.0", ANA, mentions_bot=True))
    await answered(desk, await books.claimed(1))

    assert [turn.state for turn in await desk.turns()] == ["failed"]


@pytest.mark.parametrize("breaks", [False, True])
async def test_a_turn_that_breaks_its_workers_is_given_up(desk: Desk, books: Books, *, breaks: bool) -> None:
    """After so many attempts the person is told, without the model; if that breaks too, it is over without a word."""
    claim = await claimed(books, mention("hi"))
    for _ in range(MAX_ATTEMPTS):
        claim = await books.taken_over(claim)
    if breaks:
        desk.adapter.failures = [RuntimeError("broken again")]
        with pytest.raises(RuntimeError):
            await answered(desk, claim)
        claim = await books.taken_over(claim)
    await answered(desk, claim)

    assert desk.adapter.replies[THREAD] == ([] if breaks else [texts.SOMETHING_BROKE])
    assert [(turn.state, turn.answer) for turn in await desk.turns()] == [("failed", texts.FAILED_TURN)]
    assert await books.claim(claim.thread_id) is None


async def test_a_platform_that_is_away_is_no_reason_to_give_up(desk: Desk, books: Books, llm: ScriptedLLM) -> None:
    """However often a turn was postponed, it is answered when the platform is back."""
    claim = await claimed(books, mention("hi"))
    for _ in range(2 * MAX_ATTEMPTS):
        await books.store.run(claims.postpone, claim, now=books.now, pause=MINUTE)
        claim = await books.taken_over(claim)
    llm.script("hello")
    await answered(desk, claim)

    assert desk.adapter.replies[THREAD] == ["hello"]


async def test_that_it_gave_up_is_told_when_the_platform_is_back(desk: Desk, books: Books) -> None:
    """A line that could not be said is no line said."""
    claim = await claimed(books, mention("hi"))
    for _ in range(MAX_ATTEMPTS):
        claim = await books.taken_over(claim)
    desk.adapter.failures = [AWAY]
    with pytest.raises(PlatformUnavailable):
        await answered(desk, claim)
    await books.store.run(claims.postpone, claim, now=books.now, pause=MINUTE)
    await answered(desk, await books.taken_over(claim))

    assert desk.adapter.replies[THREAD] == [texts.SOMETHING_BROKE]


async def test_the_last_attempt_is_a_real_one(desk: Desk, books: Books, llm: ScriptedLLM) -> None:
    """A turn is answered as long as it has attempts left."""
    claim = await claimed(books, mention("hi"))
    for _ in range(MAX_ATTEMPTS - 1):
        claim = await books.taken_over(claim)
    llm.script("at last")
    await answered(desk, claim)

    assert (claim.attempt, desk.adapter.replies[THREAD]) == (MAX_ATTEMPTS, ["at last"])


async def test_a_later_attempt_knows_what_the_earlier_ones_posted(desk: Desk, books: Books, llm: ScriptedLLM) -> None:
    """The platform is told which attempt it is, and which messages to finish: all of this turn's, in their order."""
    await books.store.run(posted_messages.posted, await books.answer(mention("hi", "1.0")), "A0")
    claim = await claimed(books, reply("and?", "2.0"))
    for posted in ("A2", "A1"):
        await books.store.run(posted_messages.posted, claim, posted)
    llm.script("hello")
    await answered(desk, await books.taken_over(claim))

    assert [asked.attempt for asked in desk.adapter.asked] == [2]
    assert desk.adapter.found == [["A2", "A1"]]
    assert await books.store.run(posted_messages.of_turn, claim) == ["A2", "A1", "answer-to-2.0"]


@pytest.mark.parametrize("why", [why for why in Interrupted if why is not Interrupted.EDITED])
async def test_a_takeover_of_an_interrupted_turn_brings_it_to_its_end(
    desk: Desk, books: Books, llm: ScriptedLLM, why: Interrupted
) -> None:
    """The model is not asked; the platform mends what stands there, and only a stop has something to say."""
    claim = await claimed(books, mention("hi"))
    await books.store.run(lambda connection: interruptions.interrupt(connection, claim.thread_id, why))
    await answered(desk, await books.taken_over(claim))

    stopped = why is Interrupted.STOPPED
    assert [asked.attempt for asked in desk.adapter.asked] == [2]
    assert desk.adapter.replies[THREAD] == ([texts.interrupted(why)] if stopped else [])
    [turn] = await desk.turns()
    expected = ("stopped", texts.interrupted(why)) if stopped else ("superseded", None)
    assert (turn.state, turn.answer) == expected
    assert llm.calls == []


async def test_a_late_answer_is_not_remembered(desk: Desk, books: Books, llm: ScriptedLLM) -> None:
    """The answer of a session that was closed meanwhile is not stored."""
    claim = await claimed(books, mention("hi"))
    await books.reset(THREAD, ANA)
    llm.script("too late")
    await answered(desk, claim)

    assert [(turn.state, turn.answer) for turn in await desk.turns()] == [(TurnState.SUPERSEDED.value, None)]


async def test_nothing_that_was_said_is_logged(
    desk: Desk, books: Books, llm: ScriptedLLM, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever goes wrong, logs tell where and why, not what people or the model wrote."""
    caplog.set_level("DEBUG")
    llm.script(WORDS, ModelError(Trouble.CUT, "the connection was lost"))
    await answered(desk, await claimed(books, mention(WORDS, "1.0")))
    desk.adapter.failures = [REFUSED]
    await answered(desk, await claimed(books, reply(WORDS, "2.0")))

    assert "the connection was lost" in repr([vars(record) for record in caplog.records])
    assert WORDS not in repr([vars(record) for record in caplog.records])
