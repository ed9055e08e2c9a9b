"""Runs the suite beside busy loops, to find tests that depend on a fast machine: `python -m tests.under_load`.

CI does not run it. `--times 1 --loops 8 test-long` runs another word of make, once, beside eight loops.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
# A loop ends with its parent, so that none is left when this process is killed.
BUSY_LOOP = "import os\nparent = os.getppid()\nwhile os.getppid() == parent: pass"


def main(arguments: list[str]) -> int:
    """Run the words of make until one fails. Return the exit status of the last."""
    parser = argparse.ArgumentParser(prog="python -m tests.under_load", description="Run the suite beside busy loops.")
    parser.add_argument("words", nargs="*", default=["test"], help="words of make to run (test)")
    parser.add_argument("--times", type=int, default=3, help="how many times to run them (3)")
    parser.add_argument("--loops", type=int, default=4, help="how many busy loops run beside them (4)")
    given = parser.parse_args(arguments)
    with busy_loops(given.loops):
        for _ in range(given.times):
            if status := subprocess.run(
                ["make", "--no-print-directory", *given.words], cwd=ROOT, check=False
            ).returncode:
                return status
    return 0


@contextmanager
def busy_loops(count: int) -> Iterator[None]:
    """Keep so many processes busy inside the block."""
    loops = [subprocess.Popen([sys.executable, "-c", BUSY_LOOP]) for _ in range(count)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
