"""Lock files: the file of a killed process is found. That of a process that lives or stands still is not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bot.store import lock_file
from bot.store.lock_file import LockFile
from tests.support.timeouts import GENEROUS_S

ONE, TWO = "00000000000000a1", "fffffffffffffff2"
BOOT = Path("/proc/sys/kernel/random/boot_id")

HOLDER = """
import sys
from pathlib import Path
from bot.store.lock_file import LockFile
LockFile(Path(sys.argv[1]), sys.argv[2]).hold()
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    """The beginning of the lock files' names."""
    return tmp_path / "attendant.db-lock-"


@contextmanager
def holding(prefix: Path, token: str) -> Iterator[subprocess.Popen[str]]:
    """Run a process that holds a lock file."""
    command = (sys.executable, "-c", HOLDER, str(prefix), token)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def looking(prefix: Path) -> LockFile:
    """Return the lock file of this process, which is held."""
    mine = LockFile(prefix, ONE)
    mine.hold()
    return mine


def test_the_lock_file_of_a_killed_process_is_found(prefix: Path) -> None:
    """SIGKILL leaves the file unlocked, whatever process has the number now. A released lock leaves no file."""
    mine = looking(prefix)
    with holding(prefix, TWO) as other:
        assert mine.ended() == set()
        other.kill()
        other.wait()
        assert mine.ended() == {TWO}
        assert mine.ended() == {TWO}  # until its leases are free
    mine.forget([TWO])

    assert mine.ended() == set()
    mine.release()
    assert list(prefix.parent.iterdir()) == []


def test_a_frozen_process_keeps_its_lock_file(prefix: Path) -> None:
    """SIGSTOP proves no end."""
    mine = looking(prefix)
    with holding(prefix, TWO) as other:
        os.kill(other.pid, signal.SIGSTOP)
        assert mine.ended() == set()


def test_two_locks_in_one_process_are_two(prefix: Path) -> None:
    """Two bots in one process see that both live, and one that ends leaves the other's lock alone."""
    mine, other, third = looking(prefix), LockFile(prefix, TWO), LockFile(prefix, "0" * 16)
    other.hold()
    third.hold()
    assert mine.ended() == other.ended() == set()
    other.release()

    assert mine.ended() == third.ended() == set()


def test_only_one_process_finds_an_end_at_a_time(prefix: Path) -> None:
    """A process that frees the leases keeps the file locked until it has done so."""
    mine, third = looking(prefix), LockFile(prefix, "0" * 16)
    third.hold()
    with holding(prefix, TWO) as other:
        other.kill()
        other.wait()
    assert mine.ended() == {TWO}
    assert third.ended() == set()
    mine.forget([TWO])

    assert third.ended() == set()


def test_a_file_of_another_machine_proves_nothing(prefix: Path) -> None:
    """On a network file system a lock may be seen on its own machine only."""
    mine = looking(prefix)
    left = prefix.with_name(prefix.name + TWO)
    left.write_text("another boot")

    assert mine.ended() == set()
    assert not left.exists()


@pytest.mark.parametrize("locks", ["none", "refused", "useless"])
def test_without_file_locks_nothing_ends(prefix: Path, monkeypatch: pytest.MonkeyPatch, locks: str) -> None:
    """Where the system or the file system has no locks, or useless ones, leases run out by themselves."""
    prefix.with_name(prefix.name + TWO).write_text(BOOT.read_text() if BOOT.exists() else "")  # of this machine
    if locks == "none":
        monkeypatch.setattr(lock_file, "fcntl", None)
    else:
        monkeypatch.setattr("fcntl.flock", _refuse if locks == "refused" else lambda *_: None)
    mine = LockFile(prefix, ONE)

    assert mine.hold() > GENEROUS_S  # it may write all the same
    assert mine.ended() == set()
    mine.release()


def _refuse(*_: object) -> None:
    raise OSError(95, "Operation not supported")
