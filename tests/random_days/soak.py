"""The random suite for hours: `python -m tests.random_days.soak [seed …]` runs day after day, with a line for each.

Without a seed, here or in ATTENDANT_SEED, each day has a fresh one, until ^C or for SOAK_MINUTES. If a promise is
broken on a day, a folder keeps all information needed to find the cause. The day's line names the folder.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from tests.random_days.random_day import drawn
from tests.random_days.random_world import live
from tests.support import databases


def main(arguments: Sequence[str]) -> int:
    """Run days until it is time to stop. Return 1 if a promise was broken."""
    given = [*arguments] or os.environ.get("ATTENDANT_SEED", "").split()
    seeds = map(int, given) if given else (secrets.randbelow(1_000_000) for _ in itertools.count())
    until = time.monotonic() + 60 * float(os.environ.get("SOAK_MINUTES", "inf"))
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)  # of clients that die in the middle of a request
    failed = 0
    with suppress(KeyboardInterrupt), databases.postgres() as postgres_url:
        for seed in itertools.takewhile(lambda _: time.monotonic() < until, seeds):
            failed += not _lives(seed, postgres_url)
    return min(failed, 1)


def _lives(seed: int, postgres_url: str) -> bool:
    """Run the day of this seed. Return whether every promise held."""
    day, folder, began = drawn(seed), Path(tempfile.mkdtemp(prefix="attendant-day-")), time.monotonic()
    sqlite_url = f"sqlite:///{folder / 'attendant.db'}"
    databases.migrate(sqlite_url)
    databases.empty(postgres_url)
    outcome = asyncio.run(live(day, sqlite_url if day.database == "sqlite" else postgres_url, folder))
    line = f"{day}: {len(day.steps)} steps, {time.monotonic() - began:.0f} s"
    if not outcome.violations:
        shutil.rmtree(folder)
        _tell([f"{line}, held"])
        return True
    story = folder / "story.txt"
    story.write_text(str(outcome), encoding="utf-8")
    _tell([f"{line}, DID NOT HOLD: {story}", *(f"  {violation}" for violation in outcome.violations)])
    return False


def _tell(lines: Iterable[str]) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
