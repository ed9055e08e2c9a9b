"""The turn handler: prompt, answer and settlement of a claimed turn. On both databases."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, Sequence

import pytest

from bot.domain import texts
from bot.domain.events import MessageReceived, ResetRequested
from bot.domain.sessions import Interrupted
from bot.errors import ModelError, PlatformError, PlatformUnavailable, Trouble
from bot.llm import NO_PARAMETERS, Done, Parameters, Piece, Retry, Thinking, Usage
from bot.prompt.history import ChatMessage
from bot.prompt.thread_context import EarlierMessage, ThreadContext
from bot.prompt.tokens import estimate_tokens
from bot.store import claims, interruptions, posted_messages, tables, thread_context
from bot.store.claims import PlatformClaim
from bot.store.engine import Store
from bot.store.settlement import Settlement, TurnState
from bot.testing import ScriptedLLM, SettableClock
from bot.turns.answer import AnswerStream
from bot.turns.policies import DURABLE
from bot.turns.running_turn import RunningTurn
from tests.support.builders import ANA, BEN, DAY, THREAD, mention, reply, reset
from tests.support.store_driver import MINUTE, StoreDriver
from tests.support.work_layer import MAX_ATTEMPTS, WorkLayer

WORDS = "my-password-is-hunter2"
REFUSED = PlatformError("is_archived", "posting the answer")
AWAY = PlatformUnavailable("the platform cannot be reached")


async def answered(work_layer: WorkLayer, claim: PlatformClaim) -> list[AnswerStream]:
    """Answer a claim. Return the answers that the assistant began."""
    work_layer.assistant.answers.clear()
    turn = RunningTurn(claim, DURABLE)
    turn.hold(time.monotonic() + 60)
    await work_layer.handler.handle(turn)
    turn.release()
    return work_layer.assistant.answers


async def claimed(driver: StoreDriver, *messages: MessageReceived) -> PlatformClaim:
    """Accept these messages, and claim their thread."""
    for message in messages:
        thread_id = await driver.accepted(message)
    return await driver.claimed(thread_id)


def shown_to(llm: ScriptedLLM) -> Sequence[str]:
    """Return the messages of the model's last request, without the persona."""
    return [message["content"] for message in llm.calls[-1].messages[1:]]


async def test_an_answer_is_shown_and_settled_with_its_cost(
    work_layer: WorkLayer, driver: StoreDriver, llm: ScriptedLLM
) -> None:
    """The answer is in the thread and in the turn, with its usage, and the thread is free again."""
    llm.script("Hello ", "Ana", usage=Usage(10, 4, 2))
    claim = await claimed(driver, mention("hi"))
    [begun] = await answered(work_layer, claim)

    assert work_layer.adapter.replies[THREAD] == ["Hello Ana"]
    assert begun.result.text == "Hello Ana"
    [turn] = await work_layer.turns()
    assert (turn.state, turn.answer) == ("answered", "Hello Ana")
    assert (turn.model, turn.prompt_tokens, turn.cached_tokens, turn.completion_tokens) == ("scripted", 10, 4, 2)
    assert await driver.claim(claim.thread_id) is None


async def test_the_reply_is_for_the_author_of_the_newest_message(
    work_layer: WorkLayer, driver: StoreDriver, llm: ScriptedLLM
) -> None:
    """The target of the answer is the author of the newest message."""
    llm.script("ok")
    await answered(work_layer, await claimed(driver, mention("hi", "1.0", by=ANA), reply("me too", "2.0", by=BEN)))

    [target] = work_layer.adapter.targets
    assert (target.thread, target.author, target.message_id) == (THREAD, BEN, "2.0")


async def test_the_model_knows_earlier_turns(work_layer: WorkLayer, driver: StoreDriver, llm: ScriptedLLM) -> None:
    """Earlier turns of the session stand before the question."""
    await driver.answer(mention("my VPN is down", "1.0"), "Which system?")
    llm.script("ok")
    await answered(work_layer, await claimed(driver, reply("Windows", "2.0"), reply("11", "3.0")))

    assert shown_to(llm) == ["my VPN is down", "Which system?", "Windows\n\n11"]


async def test_one_person_alone_is_not_looked_up(work_layer: WorkLayer, driver: StoreDriver, llm: ScriptedLLM) -> None:
    """While one person writes alone, no name is looked up or shown."""
    await driver.answer(mention("hi", "1.0"))
    llm.script("ok")
    await answered(work_layer, await claimed(driver, reply("hello?", "2.0")))

    assert work_layer.adapter.looked_up == []


async def test_several_people_have_names(work_layer: WorkLayer, driver: StoreDriver, llm: ScriptedLLM) -> None:
    """From the second person's turn on, messages have names. Earlier messages are shown as before."""
    work_layer.adapter.people = {"U-ANA": "Ana"}
    await driver.answer(mention("hi", "1.0", by=ANA), "hello")
    llm.script("ok")
    await answered(work_layer, await claimed(driver, reply("me too", "2.0", by=BEN)))

    assert work_layer.adapter.looked_up == [{"U-ANA", "U-BEN"}]
    assert shown_to(llm) == ["hi", "hello", "[Until here only Ana was writing.]\n\nSomebody: me too"]


async def test_a_mentioned_person_is_looked_up(work_layer: WorkLayer, driver: StoreDriver, llm: ScriptedLLM) -> None:
    """A mention is replaced by a name, also while one person writes alone."""
    work_layer.adapter.people = {"U-BEN": "Ben"}
    llm.script("ok")
    await answered(work_layer, await claimed(driver, mention("is <@U-BEN> in?")))

    assert work_layer.adapter.looked_up == [{"U-BEN"}]
    assert shown_to(llm) == ["is @Ben in?"]


PRINTERS = ThreadContext((EarlierMessage("1.0", "U-BEN", "who knows printers?"),))


async def test_the_first_answer_reads_the_thread_context(
    work_layer: WorkLayer, driver: StoreDriver, llm: ScriptedLLM
) -> None:
    """The first answer reads the messages before the turn's oldest one.

    The next turn shows the same context, and reads nothing.
    """
    work_layer.adapter.people, work_layer.adapter.thread_context = {"U-ANA": "Ana", "U-BEN": "Ben"}, PRINTERS
    llm.script("ok")
    await answered(work_layer, await claimed(driver, mention("well?", "5.0"), reply("hello?", "6.0")))
    first = shown_to(llm)
    llm.script("ok")
    await answered(work_layer, await claimed(driver, reply("and now?", "7.0")))

    assert work_layer.adapter.context_reads == [(THREAD, "5.0")]
    assert "Ben: who knows printers?" in first[0]
    assert first[0].endswith("Ana: well?\n\nAna: hello?")
    assert list(shown_to(llm)) == [*first, "ok", "Ana: and now?"]


@pytest.mark.parametrize("read", [False, True])
async def test_a_takeover_has_the_thread_context(
    work_layer: WorkLayer, driver: StoreDriver, llm: ScriptedLLM, *, read: bool
) -> None:
    """The second attempt has the thread context, whether or not the first one had read it, and it is stored once."""
    work_layer.adapter.thread_context = PRINTERS
    claim = await claimed(driver, mention("well?", "5.0"))
    if read:
        await driver.store.run(thread_context.save, claim.thread_id, "s1", claim.turn_id, PRINTERS)
    llm.script("ok")
    await answered(work_layer, await driver.taken_over(claim))

    assert "who knows printers?" in shown_to(llm)[0]
    assert len(work_layer.adapter.context_reads) == (0 if read else 1)
    assert len(await driver.rows(tables.THREAD_CONTEXT)) == 1


async def test_a_thread_context_takes_no_more_than_half_of_the_room(
    work_layer: WorkLayer, driver: StoreDriver, llm: ScriptedLLM
) -> None:
    """A long thread context leaves half of the room to the conversation."""
    messages = [EarlierMessage(f"{number:04}", "U-BEN", "x" * 100) for number in range(50)]
    work_layer.adapter.thread_context = ThreadContext(tuple(messages))
    llm.script("ok")
    await answered(work_layer, await claimed(driver, mention("well?", "5.0")))

    assert sum(map(estimate_tokens, shown_to(llm))) < 500
    assert "left out" in shown_to(llm)[0]


@pytest.mark.parametrize("fails", [False, True])
async def test_after_an_expiry_it_says_so_once(
    work_layer: WorkLayer, driver: StoreDriver, llm: ScriptedLLM, *, fails: bool
) -> None:
    """The sentence stands before the first answer, or before its error sentence.

    It is not stored as part of the answer.
    """
    await driver.answer(mention("hi", "1.0"))
    driver.now += DAY + MINUTE
    llm.script(*([ModelError(Trouble.TIMEOUT, "slow")] if fails else ["Hello", " again"]))
    await answered(work_layer, await claimed(driver, reply("hello?", "2.0")))
    llm.script("And again")
    await answered(work_layer, await claimed(driver, reply("so?", "3.0")))

    first = texts.trouble(Trouble.TIMEOUT) if fails else "Hello again"
    assert work_layer.adapter.replies[THREAD] == [f"{texts.STARTED_FRESH}\n\n{first}", "And again"]
    assert "while" not in str((await work_layer.turns())[-2].answer)


@pytest.mark.parametrize("pieces", [(), ("Half an",)], ids=["before", "midway"])
async def test_a_model_failure_is_shown_and_stored(
    work_layer: WorkLayer,
    driver: StoreDriver,
    llm: ScriptedLLM,
    caplog: pytest.LogCaptureFixture,
    pieces: tuple[str, ...],
) -> None:
    """A failed turn keeps its text, and the log has place and cause. The next turn shows the model that it failed."""
    llm.script(*pieces, ModelError(Trouble.UNAVAILABLE, "503"))
    await answered(work_layer, await claimed(driver, mention("hi", "1.0")))
    llm.script("I am back")
    await answered(work_layer, await claimed(driver, reply("hello?", "2.0")))

    assert work_layer.adapter.replies[THREAD] == [
        "\n\n".join([*pieces, texts.trouble(Trouble.UNAVAILABLE)]),
        "I am back",
    ]
    [line] = [vars(found) for found in caplog.records if found.levelno >= logging.ERROR]
    assert (line["place"], line["trouble"], line["error"]) == (str(THREAD), "unavailable", "503")
    [failed, _] = await work_layer.turns()
    assert (failed.state, failed.trouble) == ("failed", "unavailable")
    assert shown_to(llm) == ["hi", "\n\n".join([*pieces, texts.FAILED_TURN]), "hello?"]


async def test_a_refusal_of_the_platform_fails_the_turn(
    work_layer: WorkLayer, driver: StoreDriver, llm: ScriptedLLM, caplog: pytest.LogCaptureFixture
) -> None:
    """A turn whose answer the platform refuses has failed and is not retried. The log has the platform's error code."""
    work_layer.adapter.failures = [REFUSED]
    claim = await claimed(driver, mention(WORDS))
    await answered(work_layer, claim)

    assert [turn.state for turn in await work_layer.turns()] == ["failed"]
    assert await driver.claim(claim.thread_id) is None
    [line] = [vars(record) for record in caplog.records if record.getMessage() == "answer_refused_by_platform"]
    assert "is_archived" in line["error"]
    assert llm.calls == []


async def test_a_fixed_reply_needs_no_model(work_layer: WorkLayer, driver: StoreDriver, llm: ScriptedLLM) -> None:
    """A reset is confirmed with one sentence of the bot's own."""
    await driver.answer(mention("hi", "1.0"))
    await driver.accept_reset(reset("2.0"))
    begun = await answered(work_layer, await driver.claimed(1))

    assert work_layer.adapter.replies[THREAD] == [
        "Done! I've forgotten this conversation. Your next message here starts a new one."
    ]
    assert (begun, llm.calls) == ([], [])
    assert (await work_layer.turns())[-1].state == "answered"


async def test_a_fixed_reply_that_cannot_be_shown_fails(work_layer: WorkLayer, driver: StoreDriver) -> None:
    """A fixed reply that the platform refuses is not retried."""
    work_layer.adapter.failures = [REFUSED]
    await driver.accept_reset(ResetRequested(THREAD, "1.0", ANA, mentions_bot=True))
    await answered(work_layer, await driver.claimed(1))

    assert [turn.state for turn in await work_layer.turns()] == ["failed"]


@pytest.mark.parametrize("breaks", [False, True])
async def test_a_turn_that_breaks_its_workers_is_given_up(
    work_layer: WorkLayer, driver: StoreDriver, *, breaks: bool
) -> None:
    """After the last attempt a sentence tells the person, without the model.

    If that fails too, the turn is closed in silence.
    """
    claim = await claimed(driver, mention("hi"))
    for _ in range(MAX_ATTEMPTS):
        claim = await driver.taken_over(claim)
    if breaks:
        work_layer.adapter.failures = [RuntimeError("broken again")]
        with pytest.raises(RuntimeError):
            await answered(work_layer, claim)
        claim = await driver.taken_over(claim)
    await answered(work_layer, claim)

    assert work_layer.adapter.replies[THREAD] == ([] if breaks else [texts.SOMETHING_BROKE])
    assert [(turn.state, turn.answer) for turn in await work_layer.turns()] == [("failed", texts.FAILED_TURN)]
    assert await driver.claim(claim.thread_id) is None


async def test_a_platform_that_is_away_is_no_reason_to_give_up(
    work_layer: WorkLayer, driver: StoreDriver, llm: ScriptedLLM
) -> None:
    """Postponed attempts do not count: the turn is answered when the platform is back."""
    claim = await claimed(driver, mention("hi"))
    for _ in range(2 * MAX_ATTEMPTS):
        await driver.store.run(claims.postpone, claim, now=driver.now, pause=MINUTE)
        claim = await driver.taken_over(claim)
    llm.script("hello")
    await answered(work_layer, claim)

    assert work_layer.adapter.replies[THREAD] == ["hello"]


async def test_an_abandoned_turn_is_reported_when_the_platform_is_back(
    work_layer: WorkLayer, driver: StoreDriver
) -> None:
    """The sentence about an abandoned turn is posted later if the platform was unavailable."""
    claim = await claimed(driver, mention("hi"))
    for _ in range(MAX_ATTEMPTS):
        claim = await driver.taken_over(claim)
    work_layer.adapter.failures = [AWAY]
    with pytest.raises(PlatformUnavailable):
        await answered(work_layer, claim)
    await driver.store.run(claims.postpone, claim, now=driver.now, pause=MINUTE)
    await answered(work_layer, await driver.taken_over(claim))

    assert work_layer.adapter.replies[THREAD] == [texts.SOMETHING_BROKE]


async def test_the_last_attempt_is_a_real_one(work_layer: WorkLayer, driver: StoreDriver, llm: ScriptedLLM) -> None:
    """The last allowed attempt calls the model."""
    claim = await claimed(driver, mention("hi"))
    for _ in range(MAX_ATTEMPTS - 1):
        claim = await driver.taken_over(claim)
    llm.script("at last")
    await answered(work_layer, claim)

    assert (claim.attempt, work_layer.adapter.replies[THREAD]) == (MAX_ATTEMPTS, ["at last"])


async def test_a_later_attempt_knows_what_the_earlier_ones_posted(
    work_layer: WorkLayer, driver: StoreDriver, llm: ScriptedLLM
) -> None:
    """The adapter gets the attempt's number, and the messages of this turn's earlier attempts, in order."""
    await driver.store.run(posted_messages.posted, await driver.answer(mention("hi", "1.0")), "A0")
    claim = await claimed(driver, reply("and?", "2.0"))
    for posted in ("A2", "A1"):
        await driver.store.run(posted_messages.posted, claim, posted)
    llm.script("hello")
    await answered(work_layer, await driver.taken_over(claim))

    assert [target.attempt for target in work_layer.adapter.targets] == [2]
    assert work_layer.adapter.earlier_messages == [["A2", "A1"]]
    assert await driver.store.run(posted_messages.of_turn, claim) == ["A2", "A1", "answer-to-2.0"]


@pytest.mark.parametrize("why", [why for why in Interrupted if why is not Interrupted.EDITED])
async def test_a_takeover_of_an_interrupted_turn_brings_it_to_its_end(
    work_layer: WorkLayer, driver: StoreDriver, llm: ScriptedLLM, why: Interrupted
) -> None:
    """The model is not called. The platform's messages are cleaned up, and only a stop is confirmed."""
    claim = await claimed(driver, mention("hi"))
    await driver.store.run(lambda connection: interruptions.interrupt(connection, claim.thread_id, why))
    await answered(work_layer, await driver.taken_over(claim))

    stopped = why is Interrupted.STOPPED
    assert [target.attempt for target in work_layer.adapter.targets] == [2]
    assert work_layer.adapter.replies[THREAD] == ([texts.interrupted(why)] if stopped else [])
    [turn] = await work_layer.turns()
    expected = ("stopped", texts.interrupted(why)) if stopped else ("superseded", None)
    assert (turn.state, turn.answer) == expected
    assert llm.calls == []


async def test_a_kept_answer_is_shown_without_the_model(
    work_layer: WorkLayer, driver: StoreDriver, llm: ScriptedLLM
) -> None:
    """A later attempt shows and settles the answer that an earlier one got, with its cost. The model is not asked."""
    claim = await claimed(driver, mention("hi"))
    done = Done("gpt", Usage(10, 4, 2), truncated=True)
    await driver.store.run(claims.keep, claim, Settlement.by(done, TurnState.ANSWERED, "Hello Ana"))
    await answered(work_layer, await driver.taken_over(claim))

    assert work_layer.adapter.replies[THREAD] == [f"Hello Ana\n\n{texts.TRUNCATED}"]
    [turn] = await work_layer.turns()
    assert (turn.state, turn.answer, turn.attempt) == ("answered", "Hello Ana", 2)
    assert (turn.model, turn.prompt_tokens, turn.cached_tokens, turn.completion_tokens) == ("gpt", 10, 4, 2)
    assert llm.calls == []


@pytest.mark.parametrize("failure", [None, ModelError(Trouble.CUT, "broke off")])
async def test_a_whole_answer_is_kept_before_it_is_settled(
    work_layer: WorkLayer, driver: StoreDriver, llm: ScriptedLLM, failure: ModelError | None
) -> None:
    """An attempt that breaks when the model has ended leaves a whole answer to the next attempt, but no partial one."""
    llm.script("Hello", *([failure] if failure else []))
    claim = await claimed(driver, mention("hi"))
    work_layer.adapter.on_finish = _break
    with pytest.raises(RuntimeError):
        await answered(work_layer, claim)

    kept = (await driver.taken_over(claim)).kept
    assert (kept.text if kept else None) == (None if failure else "Hello")


def _break(_: str) -> None:
    raise RuntimeError("the worker breaks")


class Pensive:
    """A model that thinks, breaks off, and then answers."""

    async def stream(
        self, messages: Sequence[ChatMessage], parameters: Parameters = NO_PARAMETERS
    ) -> AsyncGenerator[Piece]:
        del messages, parameters
        yield Thinking()
        yield "Half an"
        yield Retry(ModelError(Trouble.CUT, "cut"))
        yield "A whole answer"
        yield Done("pensive", None)


async def test_reasoning_and_retries_reach_the_platform(
    store: Store, driver: StoreDriver, clock: SettableClock
) -> None:
    """The platform is told that the model thinks, and that the text is void. The opening stands before the new text."""
    work_layer = WorkLayer(store, Pensive(), clock)
    await driver.answer(mention("hi", "1.0"))
    driver.now += DAY + MINUTE
    await answered(work_layer, await claimed(driver, reply("hello?", "2.0")))

    assert work_layer.adapter.replies[THREAD] == [f"{texts.STARTED_FRESH}\n\nA whole answer"]
    assert work_layer.adapter.thoughts == 1
    assert (await work_layer.turns())[-1].answer == "A whole answer"


async def test_a_late_answer_is_not_remembered(work_layer: WorkLayer, driver: StoreDriver, llm: ScriptedLLM) -> None:
    """The answer of a session that was closed meanwhile is not stored."""
    claim = await claimed(driver, mention("hi"))
    await driver.reset(THREAD, ANA)
    llm.script("too late")
    await answered(work_layer, claim)

    assert [(turn.state, turn.answer) for turn in await work_layer.turns()] == [(TurnState.SUPERSEDED.value, None)]


async def test_no_text_is_logged(
    work_layer: WorkLayer, driver: StoreDriver, llm: ScriptedLLM, caplog: pytest.LogCaptureFixture
) -> None:
    """No log line holds a text of a person or of the model, whatever fails."""
    caplog.set_level("DEBUG")
    llm.script(WORDS, ModelError(Trouble.CUT, "the connection was lost"))
    await answered(work_layer, await claimed(driver, mention(WORDS, "1.0")))
    work_layer.adapter.failures = [REFUSED]
    await answered(work_layer, await claimed(driver, reply(WORDS, "2.0")))

    assert "the connection was lost" in repr([vars(record) for record in caplog.records])
    assert WORDS not in repr([vars(record) for record in caplog.records])
