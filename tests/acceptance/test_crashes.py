"""The bot is killed at each step of a message. It still gives one whole answer, and remembers it once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from bot.config.settings import Settings
from bot.domain.long_answer_texts import REST_IN_FILE
from bot.playground.playground_server import PlaygroundServer
from bot.playground.workspace.messages import Message
from bot.playground.workspace.workspace import Workspace
from bot.services import utc_now
from bot.testing import PausedStep
from tests.support import crashing_bot
from tests.support.crashing_bot import Point
from tests.support.openai_server import OpenAIServer, Reply, Request, says
from tests.support.room import playground, settings_for, shown
from tests.support.timeouts import GENEROUS_S

STEPS = [
    "inbox.accept",
    "claims.claim",
    "history.before",
    "assistant.threads.setStatus",
    "posted_messages.posted",
    "claims.keep",
    "claims.settle",
]
STREAMED = ["chat.startStream", "chat.appendStream", "chat.stopStream"]
EDITED = ["chat.postMessage", "chat.update"]


def _points(steps: list[str]) -> list[Point]:
    return [Point(when, what) for what in steps for when in ("before", "after")] + [Point("after", "ack")]


# `make test` kills the bot at these points only, in both ways to show an answer; `make test-long` at all of them.
DAILY = {
    ("auto", Point("after", "inbox.accept")),
    ("auto", Point("after", "chat.startStream")),
    ("off", Point("after", "chat.postMessage")),
    ("off", Point("before", "claims.settle")),
}
CASES = [("auto", point) for point in _points([*STEPS, *STREAMED])] + [
    ("off", point)
    for point in [*_points([*STEPS, *EDITED]), Point("before", "chat.update", 2), Point("after", "chat.update", 2)]
]


EVERYTHING = " ".join(f"word{number}" for number in range(2_000))
FILE_STEPS = [
    Point("after", "claims.keep"),
    Point("after", "files.getUploadURLExternal"),
    *(Point(when, "answer_files.add") for when in ("before", "after")),
    *(Point(when, "files.completeUploadExternal") for when in ("before", "after")),
    Point("before", "claims.settle"),
]
DAILY_FILE_STEPS = {Point("after", "answer_files.add"), Point("after", "files.completeUploadExternal")}


@dataclass(slots=True)
class Scene:
    """A workspace with one question in it, and the settings of the bots."""

    workspace: Workspace
    server: PlaygroundServer
    model: OpenAIServer
    settings: Settings
    holds: tuple[PausedStep, PausedStep]

    def ask(self, text: str, root: str | None = None) -> Message:
        """Have Ana write in #help-desk."""
        channel = self.workspace.channel("help-desk")
        return self.workspace.post(self.workspace.person("ana"), channel, text, root)

    def answers(self, root: str) -> list[Message]:
        """Return the bot's messages in the thread."""
        thread = self.workspace.thread(self.workspace.channel("help-desk"), root)
        return [message for message in thread if message.bot_id == self.workspace.app.bot_id]

    async def lead_on(self, root: str) -> None:
        """Hold back each part of the model's first answer until Slack shows the part before."""
        for hold, words in zip(self.holds, ("One.", "Two."), strict=True):
            await self.workspace.until(
                lambda words=words: any(words in m.shown_text for m in self.answers(root)),  # type: ignore[misc] # bound
                timeout_s=GENEROUS_S,
            )
            hold.release()


@pytest.fixture(params=["sqlite", "postgresql"])
async def scene(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Scene]:
    """The scene on either database."""
    async with AsyncExitStack() as stack:
        holds = (PausedStep(), PausedStep())
        model = OpenAIServer(_Model(holds).answer)
        await model.start()
        stack.push_async_callback(model.stop)
        workspace, server = await stack.enter_async_context(
            playground(utc_now, ack_within_s=1.0, retry_after_s=(0.5,) * 30)
        )
        url = f"sqlite:///{tmp_path / 'attendant.db'}"
        if request.param == "postgresql":
            url = request.getfixturevalue("empty_postgres_url")
        yield Scene(workspace, server, model, settings_for(workspace, server, model, database_url=url), holds)


class _Model:
    """Gives its answer in three parts, the first time with pauses. For a later question it recites the request."""

    def __init__(self, holds: tuple[PausedStep, PausedStep]) -> None:
        self._holds: list[PausedStep] = list(holds)

    def answer(self, request: Request) -> Reply:
        if shown(request) == ["tell me everything"]:
            return says(EVERYTHING)
        if len(shown(request)) > 1:
            return says("I was shown: ", " | ".join(shown(request)))
        if self._holds:
            first, second = self._holds
            self._holds = []
            return says("One. ", first, "Two. ", second, "Three.")
        return says("One. ", "Two. ", "Three.")


async def _answered_after_a_crash(scene: Scene, streaming: str, point: Point) -> str:
    """Ask two questions. SIGKILL comes at this point of the first answer, then a restart. Return the thread's root."""
    settings = _with(scene.settings, streaming)
    first = crashing_bot.start(settings, point)
    await _connected(scene)
    root = scene.ask("@attendant count to three").ts
    leading = asyncio.create_task(scene.lead_on(root))
    await _died(first)
    assert first.exitcode == -9, "the point was not reached"

    second = crashing_bot.start(settings)
    await scene.workspace.until(lambda: _whole(scene, root, 1), timeout_s=GENEROUS_S)
    scene.ask("what did you say?", root)
    await scene.workspace.until(lambda: _whole(scene, root, 2), timeout_s=GENEROUS_S)
    await _stopped(second)
    leading.cancel()
    return root


@pytest.mark.parametrize(
    ("streaming", "point"),
    [pytest.param(*case, marks=[] if case in DAILY else pytest.mark.long) for case in CASES],
    ids=[f"{streaming}-{point}" for streaming, point in CASES],
)
async def test_one_whole_answer_after_a_crash_at_any_step(scene: Scene, streaming: str, point: Point) -> None:
    """After SIGKILL and a restart the thread has one whole answer in one message, remembered once."""
    root = await _answered_after_a_crash(scene, streaming, point)

    answer, recital = [message.shown_text for message in scene.answers(root)]
    assert answer == "One. Two. Three."
    assert recital == "I was shown: count to three | One. Two. Three. | what did you say?"


@pytest.mark.parametrize("streaming", ["auto", "off"])
async def test_a_known_answer_is_shown_without_the_model(scene: Scene, streaming: str) -> None:
    """SIGKILL when the model has ended. The next process shows its answer, and does not ask the model again."""
    root = await _answered_after_a_crash(scene, streaming, Point("after", "claims.keep"))

    assert scene.answers(root)[0].shown_text == "One. Two. Three."
    assert len(scene.model.requests) == 2  # one for each question


@pytest.mark.parametrize("streaming", ["auto", "off"])
@pytest.mark.parametrize(
    "point",
    [pytest.param(point, marks=[] if point in DAILY_FILE_STEPS else pytest.mark.long) for point in FILE_STEPS],
    ids=str,
)
async def test_the_rest_of_a_long_answer_is_one_file_after_a_crash(scene: Scene, streaming: str, point: Point) -> None:
    """SIGKILL around the upload. After a restart a message and one file hold every word once."""
    settings = _with(scene.settings, streaming).model_copy(update={"long_answer_messages": 1})
    first = crashing_bot.start(settings, point)
    await _connected(scene)
    root = scene.ask("@attendant tell me everything").ts
    await _died(first)
    assert first.exitcode == -9, "the point was not reached"

    second = crashing_bot.start(settings)
    await scene.workspace.until(lambda: _all_words(scene, root) == EVERYTHING.split(), timeout_s=GENEROUS_S)
    scene.ask("what did you say?", root)
    await scene.workspace.until(lambda: _all_words(scene, root)[-1] == "say?", timeout_s=GENEROUS_S)
    await _stopped(second)
    kept = [upload for upload in scene.workspace.uploads.values() if upload.content is not None]
    assert [upload.name.partition("-")[0] for upload in kept] == ["answer", "answer"]  # the recital is long, too


def _all_words(scene: Scene, root: str) -> list[str]:
    """Return the words of the bot's messages and files in the thread, as soon as no message streams."""
    said = []
    for message in scene.answers(root):
        uploads = [scene.workspace.uploads.get(file["id"]) for file in message.files]
        said += [upload.content.decode() for upload in uploads if upload is not None and upload.content is not None]
        said.append("" if message.streaming_since else message.shown_text.removesuffix(REST_IN_FILE))
    return " ".join(said).split() or [""]


@pytest.mark.long
@pytest.mark.parametrize("point", _points(["conversations.replies", "thread_context.save"])[:-1], ids=str)
async def test_the_thread_context_is_known_once_after_a_crash(scene: Scene, point: Point) -> None:
    """SIGKILL while the bot reads the thread. This answer and the next one know the earlier messages."""
    root = scene.ask("who knows numbers?").ts
    first = crashing_bot.start(scene.settings, point)
    await _connected(scene)
    scene.ask("@attendant count to three", root)
    leading = asyncio.create_task(scene.lead_on(root))
    await _died(first)
    assert first.exitcode == -9, "the point was not reached"

    second = crashing_bot.start(scene.settings)
    await scene.workspace.until(lambda: _whole(scene, root, 1), timeout_s=GENEROUS_S)
    scene.ask("what did you say?", root)
    await scene.workspace.until(lambda: _whole(scene, root, 2), timeout_s=GENEROUS_S)
    await _stopped(second)
    leading.cancel()

    recital = scene.answers(root)[1].shown_text
    assert recital.count("ana: who knows numbers?") == 1
    assert recital.endswith("ana: count to three | One. Two. Three. | ana: what did you say?")


def _whole(scene: Scene, root: str, count: int) -> bool:
    said = scene.answers(root)
    ends = ("Three.", "say?")
    return (
        len(said) == count
        and not any(message.streaming_since for message in said)
        and all(message.shown_text.endswith(end) for message, end in zip(said, ends, strict=False))
    )


def _with(settings: Settings, streaming: str) -> Settings:
    return settings.model_copy(update={"slack_streaming": streaming})


async def _connected(scene: Scene) -> None:
    await scene.workspace.until(lambda: scene.workspace.connected, timeout_s=GENEROUS_S)


async def _died(process: BaseProcess) -> None:
    await asyncio.to_thread(process.join, GENEROUS_S)


async def _stopped(process: BaseProcess) -> None:
    process.terminate()
    await asyncio.to_thread(process.join, GENEROUS_S)
    assert process.exitcode == 0
