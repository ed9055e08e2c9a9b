"""`make bench`: the attendant as a process beside the leanest bot, on the same workload, in the same run.

Rule: the bots take turns, each started afresh, so that other load on the machine falls on all of them. The bench fails
if the attendant acknowledges an event of the smaller crowd too late.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import statistics
import sys
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import psutil

from bench import attacks, crowd, gateway, long_thread, recovery, table, workload
from bench.subject import LEAN, OURS, OURS_ON_POSTGRES, Subject
from bench.surroundings import DELTAS
from bench.workload import MOST_TURNS, TURNS_PER_THREAD

CROWD, LARGE_CROWD = 500, 1_000  # people
_BUSY = 90  # percent of a core

F = TypeVar("F")
Results = dict[str, list[F]]  # each bot's rounds by its name


def main() -> None:
    """Measure, then print the tables."""
    options = _options()
    subjects = [LEAN, OURS, OURS_ON_POSTGRES] if options.postgres else [LEAN, OURS]
    rounds = partial(_rounds, subjects)
    turns = rounds("turns", lambda subject: workload.measure(subject, options.turns), options.rounds)
    crowds = {
        size: rounds(f"a crowd of {size}", partial(crowd.measure, size=size), count)
        for size, count in ((CROWD, options.rounds), (LARGE_CROWD, 1))
    }
    print("", *_about(options.turns, options.rounds), sep="\n")
    print("", *table.lines("", turns), *_warnings(turns), sep="\n")
    for size, results in crowds.items():
        print("", *table.lines(f"A crowd of {size:,}", results), sep="\n")
    print(*long_thread.lines(), sep="\n")
    print(*recovery.lines(), sep="\n")
    gateway.report()
    attacks.report()
    sys.exit("\n".join(_failures(crowds[CROWD])) or 0)


def _rounds(
    subjects: Sequence[Subject], what: str, measure: Callable[[Subject], Coroutine[Any, Any, F]], count: int
) -> Results[F]:
    results: Results[F] = {subject.name: [] for subject in subjects}
    for number in range(1, count + 1):
        for subject in subjects:
            print(f"{what}, round {number} of {count}: {subject.name}", flush=True)
            results[subject.name].append(asyncio.run(measure(subject)))
    return results


def _about(turns: int, rounds: int) -> Iterator[str]:
    machine = f"{os.cpu_count()} cores, load {psutil.getloadavg()[2]:.1f} of late"
    yield f"Python {platform.python_version()}, {platform.system()} {platform.machine()}, {machine}."
    yield "Slack's part is played by the playground and the model's by a server, both over HTTP."
    yield f"{turns} turns one at a time, then {turns} in a burst; {TURNS_PER_THREAD} turns a thread."
    yield f"An instant model with answers of {DELTAS} deltas."
    yield f"Crowds: all mention the bot in one instant, and the model thinks {crowd.THINKS_S:g} s about each answer."
    yield f"Medians of {rounds} rounds (the larger crowd: of one), the lowest and the highest; then the ratio to the"
    yield "first column."


def _warnings(results: Mapping[str, Sequence[workload.Figures]]) -> Iterator[str]:
    for name, rounds in results.items():
        if statistics.median(figures.others_core for figures in rounds) > _BUSY:
            yield f"Slack and the model kept the {name} waiting in the burst: compare CPU seconds, not turns a second."


def _failures(results: Mapping[str, Sequence[crowd.Figures]]) -> Iterator[str]:
    for name, rounds in results.items():
        if name != LEAN.name and (late := max(figures.late for figures in rounds)):
            yield f"\nTOO LATE: {name} left up to {late} acknowledgements of a crowd of {CROWD} to be delivered again."


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description="Print our bot's figures beside the leanest bot's.")
    parser.add_argument("--turns", type=_turns, default=300, help="one at a time, and again in a burst (default: 300)")
    parser.add_argument("--rounds", type=int, default=3, help="of all bots in turn (default: 3)")
    parser.add_argument("--postgres", action="store_true", help="measure ours on PostgreSQL as well")
    return parser.parse_args()


def _turns(text: str) -> int:
    """Parse the number of turns: whole threads, and at most as many calls as the workspace records."""
    if not TURNS_PER_THREAD <= (turns := int(text)) <= MOST_TURNS:
        raise argparse.ArgumentTypeError(f"is not from {TURNS_PER_THREAD} to {MOST_TURNS}")
    return turns // TURNS_PER_THREAD * TURNS_PER_THREAD


if __name__ == "__main__":
    main()
