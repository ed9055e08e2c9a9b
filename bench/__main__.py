"""`make bench`: our bot as a process beside the leanest one, on the same workload, in the same run.

Rule: the bots take turns, each started afresh, so that whatever else the machine does falls on all of them. Nothing
passes or fails here.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence

from bench import gateway, table
from bench.subject import LEAN, OURS, OURS_ON_POSTGRES, Subject
from bench.workload import MOST_TURNS, TURNS_PER_THREAD, Figures, measure


def main() -> None:
    """Measure, then print the table."""
    options = _options()
    subjects = [LEAN, OURS, OURS_ON_POSTGRES] if options.postgres else [LEAN, OURS]
    results = asyncio.run(_rounds(subjects, options.turns, options.rounds))
    print("", *table.lines(results, options.turns), sep="\n")
    gateway.report()


async def _rounds(subjects: Sequence[Subject], turns: int, rounds: int) -> dict[str, list[Figures]]:
    results: dict[str, list[Figures]] = {subject.name: [] for subject in subjects}
    for number in range(1, rounds + 1):
        for subject in subjects:
            print(f"round {number} of {rounds}: {subject.name}", flush=True)
            results[subject.name].append(await measure(subject, turns))
    return results


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description="Print our bot's figures beside the leanest bot's.")
    parser.add_argument("--turns", type=_turns, default=300, help="one at a time, and again in a burst (default: 300)")
    parser.add_argument("--rounds", type=int, default=3, help="of all bots in turn (default: 3)")
    parser.add_argument("--postgres", action="store_true", help="measure ours on PostgreSQL as well")
    return parser.parse_args()


def _turns(text: str) -> int:
    """Whole threads, and no more calls than the workspace keeps a record of."""
    if not TURNS_PER_THREAD <= (turns := int(text)) <= MOST_TURNS:
        raise argparse.ArgumentTypeError(f"is not from {TURNS_PER_THREAD} to {MOST_TURNS}")
    return turns // TURNS_PER_THREAD * TURNS_PER_THREAD


if __name__ == "__main__":
    main()
