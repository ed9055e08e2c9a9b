"""The random suite's world: a workspace, a model, a database and two replicas live through a day, and are judged."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import assert_never

from bot.config.settings import Settings
from bot.playground.playground_server import PlaygroundServer
from bot.playground.web_api.calls import ApiCall
from bot.playground.workspace.workspace import Workspace
from bot.services import utc_now
from bot.slack.monotonic_clock import MonotonicClock
from tests.random_days.random_model import Model, asked_in, shown_in, thread_context_in
from tests.random_days.random_people import People
from tests.random_days.random_replicas import Replicas
from tests.random_days.random_steps import (
    DatabaseFails,
    Day,
    Deletes,
    Edits,
    Ends,
    Hushes,
    Kills,
    LosesAcks,
    LosesSockets,
    ModelFails,
    Repeated,
    Resets,
    Rests,
    Says,
    SlackFails,
    SlackSlow,
    Starts,
    Step,
    Stops,
)
from tests.random_days.random_trouble import Database, Trouble
from tests.random_days.random_verdict import Requested
from tests.support.openai_server import OpenAIServer
from tests.support.room import playground, settings_for

CALM_WITHIN_S = 180.0  # after a day; retry pauses double while Slack is away


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a day. Its text holds all information needed to find the cause of a violation."""

    day: Day
    violations: list[str]
    calls: list[str]
    conversation: str
    log: Path

    def __str__(self) -> str:
        steps = [f"  {number:>3} {step}" for number, step in enumerate(self.day.steps)]
        # The violations come first, because a CI log may cut a long text.
        verdict = [f"{self.day}: violations", *(f"  {line}" for line in self.violations), ""]
        return "\n".join(
            [*verdict, *steps, "", *self.calls, "", self.conversation, "", f"The bots' logs: {self.log}.*"]
        )


@dataclass(frozen=True, slots=True)
class World:
    """The surroundings on which the steps of a day act."""

    workspace: Workspace
    server: PlaygroundServer
    database: Database
    people: People
    trouble: Trouble
    replicas: Replicas

    async def begin(self) -> None:
        """Wait for the first connection."""
        self.replicas.start_all()
        await self.workspace.until(lambda: self.workspace.connected, timeout_s=CALM_WITHIN_S)

    async def do(self, step: Step) -> None:
        """Take the step, unless it is impossible."""
        match step:
            case Says() | Repeated() | Edits() | Deletes() | Stops() | Hushes() | Resets():
                await self.people.do(step)
            case Kills() | Ends() | Starts():
                self.replicas.meet(step)
            case SlackFails() | SlackSlow() | LosesAcks() | LosesSockets() | ModelFails() | DatabaseFails():
                await self.trouble.come(step)
            case Rests(calls, most_s):
                await self._rest(len(self.server.calls.all()) + calls if calls else None, most_s)
            case _:
                assert_never(step)

    async def calm(self) -> bool:
        """End all failures, and wait until no message is unanswered. Return whether that happened in time."""
        await self.trouble.calm()
        with suppress(TimeoutError):
            async with asyncio.timeout(CALM_WITHIN_S):
                while self.server.deliveries.pending or not await self.database.owes_nothing():
                    self.replicas.start_all()
                    await MonotonicClock().pause(0.3)
                return True
        return False

    async def _rest(self, calls: int | None, most_s: float) -> None:
        """Wait for so many calls to Slack's Web API, for at most so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(most_s):
                await self.workspace.until(
                    lambda: calls is not None and len(self.server.calls.all()) >= calls, timeout_s=CALM_WITHIN_S
                )


async def live(day: Day, database_url: str, folder: Path) -> Outcome:
    """Run the day on an empty database, and judge the outcome. The bots log into the folder."""
    model = Model()
    async with (
        _asked(model) as openai,
        playground(utc_now, ack_within_s=1.0, retry_after_s=(0.5,) * 600) as (workspace, server),
    ):
        workspace.app = replace(workspace.app, is_agent=day.agent)
        settings = _settings(day, settings_for(workspace, server, openai, database_url=database_url))
        database, replicas = Database(database_url), Replicas(settings, folder / f"day-{day.seed}")
        people, trouble = People(workspace, server, database.settled), Trouble(server, model, database)
        world = World(workspace, server, database, people, trouble, replicas)
        try:
            await world.begin()
            for step in day.steps:
                await world.do(step)
            calm = [] if await world.calm() else [f"something is still owed after {CALM_WITHIN_S:g} s of calm"]
            await replicas.leave()
        finally:
            replicas.kill_all()
        requests = [
            Requested(asked_in(request), shown_in(request), thread_context_in(request)) for request in openai.requests
        ]
        wrong = [
            *calm,
            *people.judge(crowded=day.crowded).violations(workspace, requests),
            *await database.left_behind(),
            *replicas.odd,
        ]
        calls = [_line(call) for call in server.calls.all()]
        return Outcome(day, wrong, calls, str(workspace), folder / f"day-{day.seed}")


def _line(call: ApiCall) -> str:
    where = " ".join(str(call.args[name]) for name in ("channel", "thread_ts", "ts") if name in call.args)
    said = str(call.args.get("markdown_text", call.args.get("status", "")))
    return f"{call.at:%M:%S.%f} {call.answered_at:%M:%S.%f} {call.method} {where} {said[:60]!r} {call.error or ''}"


def _settings(day: Day, settings: Settings) -> Settings:
    most = 3 if day.crowded else 100
    return settings.model_copy(
        update={
            "slack_streaming": day.streaming,
            "model_window_tokens": 2_000_000,
            "history_tokens": 1_000_000,
            "model_timeout_seconds": 3.0,
            "model_patience_seconds": 3.0,
            "drain_seconds": 1.5,
            "max_attempts": 10,
            "max_running_turns": most,
            "max_running_turns_per_person": most - 1,
        }
    )


@asynccontextmanager
async def _asked(model: Model) -> AsyncIterator[OpenAIServer]:
    server = OpenAIServer(model.answer, keep=100_000)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
