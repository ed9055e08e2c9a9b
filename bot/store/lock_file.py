"""A locked file, by which the processes on one SQLite database see that another one lives, or was killed.

Rule: the system alone unlocks the file of a process, when that ends. So an unlocked file of this machine is a proof.
"""

from __future__ import annotations

import logging
import math
import os
import re
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # on Windows a dead process's leases run out
    fcntl = None  # type: ignore[assignment]

log = logging.getLogger(__name__)

TOKEN = re.compile(r"[0-9a-f]{16}")  # the name of a process's lock
_BOOT = Path("/proc/sys/kernel/random/boot_id")


class LockFile:
    """A locked file beside SQLite's, which all processes on the database reach. A killed process leaves it unlocked."""

    def __init__(self, prefix: Path, token: str) -> None:
        self._prefix = prefix
        self._path = _with(prefix, token)
        self._boot = _BOOT.read_text() if _BOOT.exists() else ""
        self._file: int | None = None
        self._ended: dict[str, int] = {}  # the files of ended processes, locked here, by token

    def hold(self) -> float:
        """See ProcessLock. Without file locks nothing is held, and the leases of dead processes run out."""
        if self._file is None and fcntl is not None:
            try:
                self._file = self._locked()
            except OSError as error:
                log.warning("process_lock_unavailable", extra={"error": error.strerror})
                self._file = -1
        return math.inf

    def stood_still(self) -> bool:
        """See ProcessLock. All processes on the file are on one machine, and stand still together."""
        return False

    def ended(self) -> set[str]:
        """See ProcessLock."""
        if self._file is not None and self._file >= 0:
            for path in self._prefix.parent.iterdir():
                token = path.name.removeprefix(self._prefix.name)
                if token != path.name and TOKEN.fullmatch(token) and token not in self._ended:
                    self._look(token, path)
        return set(self._ended)

    def forget(self, tokens: Iterable[str]) -> None:
        """See ProcessLock."""
        for token in tokens:
            _with(self._prefix, token).unlink(missing_ok=True)
            os.close(self._ended.pop(token))

    def release(self) -> None:
        """See ProcessLock."""
        if self._file is not None and self._file >= 0:
            self._path.unlink(missing_ok=True)
            os.close(self._file)
        for file in self._ended.values():
            os.close(file)
        self._file, self._ended = None, {}

    def _locked(self) -> int:
        """Create the file, and return its descriptor. It gets its name when it is locked."""
        new = self._path.with_name(f"{self._path.name}.new")
        file = os.open(new, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            _lock_for_certain(file, new)
            os.write(file, self._boot.encode())
            new.rename(self._path)
        except BaseException:
            new.unlink(missing_ok=True)
            os.close(file)
            raise
        return file

    def _look(self, token: str, path: Path) -> None:
        with suppress(OSError), ExitStack() as stack:  # such a file proves nothing
            file = os.open(path, os.O_RDWR)
            stack.callback(os.close, file)
            if path == self._path or not _lock(file):
                return
            if os.read(file, 100).decode() != self._boot:  # of another machine, or of a time before its restart
                path.unlink()
                return
            stack.pop_all()
            self._ended[token] = file


def _with(prefix: Path, token: str) -> Path:
    return prefix.with_name(prefix.name + token)


def _lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lock_for_certain(file: int, path: Path) -> None:
    """Lock a file. Raise OSError on a file system whose locks keep nobody out."""
    other = os.open(path, os.O_RDWR)
    try:
        if not _lock(file) or _lock(other):
            raise OSError(0, "the file system has no locks")
    finally:
        os.close(other)
