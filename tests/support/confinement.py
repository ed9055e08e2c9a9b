"""A process confined as the container's and the unit's are, as far as the kernel allows it without either of them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

# https://man7.org/linux/man-pages/man2/PR_SET_MDWE.2const.html; an older kernel refuses it, and the rest holds.
_NO_WRITABLE_CODE = (
    "import ctypes, os, sys; ctypes.CDLL(None).prctl(65, 1, 0, 0, 0); os.execvp(sys.argv[1], sys.argv[1:])"
)
_READ_ONLY = """
set -e
count=$1; shift
while [ "$count" -gt 0 ]; do mount --bind "$1" "$1"; shift; count=$((count - 1)); done
mount -o remount,ro,bind /
exec setpriv --bounding-set=-all --inh-caps=-all --no-new-privs "$@"
"""


def confined(command: Sequence[str], *, writable: Sequence[Path]) -> list[str]:
    """Return a command that runs this one: root read-only but for these folders, no capability, no new privileges.

    No memory may be both writable and executable, as with the unit's MemoryDenyWriteExecute.
    """
    launched = [sys.executable, "-c", _NO_WRITABLE_CODE, *command]
    return ["unshare", "--mount", "sh", "-c", _READ_ONLY, "sh", str(len(writable)), *map(str, writable), *launched]


@cache
def obstacle() -> str:
    """Return why this machine cannot confine a process; empty if it can."""
    if not all(map(shutil.which, ("unshare", "setpriv"))):
        return "NOT CONFINED: there is no unshare or no setpriv (Debian's package util-linux)"
    tried = subprocess.run(confined(["true"], writable=[]), capture_output=True, check=False)
    return "NOT CONFINED: only root may mount folders read-only" if tried.returncode else ""
