"""The workload, which is the same for every bot, and its figures."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

import psutil

from bench.figures import figure
from bench.subject import Subject, megabytes, running
from bench.surroundings import Surroundings, Turn, surroundings

TURNS_PER_THREAD = 4
THREADS_AT_ONCE = 32
WARM_UP_TURNS = 40
MOST_TURNS = 3_000


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of one run of the workload and one bot."""

    burst: float = figure(f"turns a second, {THREADS_AT_ONCE} threads at once", 0)
    alone: float = figure("turns a second, one at a time", 0)
    burst_cpu: float = figure(f"CPU seconds per 1,000 turns, {THREADS_AT_ONCE} at once", 1)
    alone_cpu: float = figure("CPU seconds per 1,000 turns, one at a time", 1)
    idle_memory: float = figure("resident memory in MB, idle", 0)
    memory: float = figure("resident memory in MB, after all turns", 0)
    to_model: float = figure("ms from event to model request, median", 1)
    to_model_p99: float = figure("ms from event to model request, p99", 1)
    to_text: float = figure("ms from last token to final text, median", 1)
    to_text_p99: float = figure("ms from last token to final text, p99", 1)
    calls: float = figure("calls of Slack's Web API a turn", 1)
    core: float = figure("share of a core in the burst, %: the bot", 0)
    others_core: float = figure("share of a core in the burst, %: Slack and model", 0)


@dataclass(frozen=True, slots=True)
class _Spent:
    """The cost of some turns: wall-clock seconds, CPU seconds of the bot and of its surroundings, Slack calls."""

    turns: int
    wall_s: float
    bot_cpu_s: float
    others_cpu_s: float
    calls: float

    @property
    def turns_a_second(self) -> float:
        return self.turns / self.wall_s

    @property
    def cpu_s_per_1000(self) -> float:
        return self.bot_cpu_s / self.turns * 1000


class _Meter:
    """Measures the cost since its creation."""

    def __init__(self, bot: psutil.Process, around: Surroundings) -> None:
        self._bot = bot
        self._around = around
        self._start = self._now()

    def read(self, turns: int) -> _Spent:
        """Return the cost of so many turns since the creation."""
        return _Spent(turns, *(after - before for after, before in zip(self._now(), self._start, strict=True)))

    def _now(self) -> tuple[float, float, float, float]:
        cpu = self._bot.cpu_times()
        return time.perf_counter(), cpu.user + cpu.system, time.process_time(), len(self._around.slack.calls.all())


async def measure(subject: Subject, turns: int) -> Figures:
    """Start the bot afresh. Run the turns one at a time, then as many in a burst."""
    async with surroundings() as around, running(subject, around) as bot:
        idle_memory = megabytes(bot)
        await _burst(around, WARM_UP_TURNS)
        meter = _Meter(bot, around)
        singles = await _one_at_a_time(around, turns)
        alone, meter = meter.read(turns), _Meter(bot, around)
        await _burst(around, turns)
        return _figures(singles, alone, meter.read(turns), idle_memory, megabytes(bot))


def _figures(singles: Sequence[Turn], alone: _Spent, burst: _Spent, idle_memory: float, memory: float) -> Figures:
    to_model = [(turn.requested - turn.asked) * 1000 for turn in singles]
    to_text = [(turn.shown - turn.spoken) * 1000 for turn in singles]
    return Figures(
        burst=burst.turns_a_second,
        alone=alone.turns_a_second,
        burst_cpu=burst.cpu_s_per_1000,
        alone_cpu=alone.cpu_s_per_1000,
        idle_memory=idle_memory,
        memory=memory,
        to_model=statistics.median(to_model),
        to_model_p99=_p99(to_model),
        to_text=statistics.median(to_text),
        to_text_p99=_p99(to_text),
        calls=alone.calls / alone.turns,
        core=burst.bot_cpu_s / burst.wall_s * 100,
        others_core=burst.others_cpu_s / burst.wall_s * 100,
    )


async def _one_at_a_time(around: Surroundings, turns: int) -> list[Turn]:
    return [turn for _ in range(turns // TURNS_PER_THREAD) for turn in await _conversation(around)]


async def _burst(around: Surroundings, turns: int) -> None:
    slots = asyncio.Semaphore(THREADS_AT_ONCE)

    async def when_it_is_its_turn() -> None:
        async with slots:
            await _conversation(around)

    async with asyncio.TaskGroup() as group:
        for _ in range(turns // TURNS_PER_THREAD):
            group.create_task(when_it_is_its_turn())


async def _conversation(around: Surroundings) -> list[Turn]:
    turns = [await around.ask()]
    while len(turns) < TURNS_PER_THREAD:
        turns.append(await around.ask(turns[0].thread))
    return turns


def _p99(values: Sequence[float]) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[-1]
