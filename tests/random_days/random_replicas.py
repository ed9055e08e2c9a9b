"""The random suite's replicas: the bot's processes, and their starts and ends."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import assert_never

from bot.config.settings import Settings
from tests.random_days.random_steps import Ends, Fate, Kills, Starts
from tests.support import crashing_bot

LEASE = timedelta(seconds=6)  # longer than any outage of the database
REPLICAS = 2
_LEAVE_S = 60.0


class Replicas:
    """The bot's processes."""

    def __init__(self, settings: Settings, log: Path) -> None:
        self._settings = settings
        self._log = log
        self._running: dict[int, BaseProcess] = {}
        self._leaving: list[BaseProcess] = []
        self.odd: list[str] = []  # unexpected exit statuses

    def meet(self, fate: Fate) -> None:
        """Take a step of a replica: start it unless it runs, or end or kill it if it runs."""
        match fate:
            case Starts(number):
                self._start(number)
            case Kills(number):
                if (process := self._taken(number)) is not None:
                    process.kill()
            case Ends(number):
                if (process := self._taken(number)) is not None:
                    process.terminate()
                    self._leaving.append(process)
            case _:
                assert_never(fate)

    def start_all(self) -> None:
        """Start every replica that does not run."""
        for number in range(REPLICAS):
            self._start(number)

    async def leave(self) -> None:
        """End all processes, and wait for it."""
        for number in range(REPLICAS):
            self.meet(Ends(number))
        for process in self._leaving:
            await asyncio.to_thread(process.join, _LEAVE_S)
            self._note(process, {0, -15})  # -15: before its signal handlers were installed

    def kill_all(self) -> None:
        """Kill every process that is left."""
        for process in (*self._running.values(), *self._leaving):
            process.kill()

    def _start(self, number: int) -> None:
        if (process := self._taken(number)) is None:
            process = crashing_bot.start(self._settings, lease=LEASE, log=self._log.with_suffix(f".{number}.log"))
        self._running[number] = process

    def _taken(self, number: int) -> BaseProcess | None:
        """Remove the replica's process from the running ones. Return it, or None if it does not run."""
        process = self._running.pop(number, None)
        if process is None or process.is_alive():
            return process
        self._note(process, {1})  # a check at its start failed: Slack or the database was away
        return None

    def _note(self, process: BaseProcess, fine: set[int]) -> None:
        if process.exitcode not in fine:
            self.odd.append(f"process {process.pid} ended with {process.exitcode}")
