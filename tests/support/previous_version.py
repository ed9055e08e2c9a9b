"""The bot before the newest migration, out of the repository's history: it runs while replicas are replaced."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
_MIGRATIONS = "migrations/versions"


def extract(folder: Path) -> bool:
    """Write the code before the newest migration into a folder. Return False when the history does not hold it.

    The migrations of that code are the first ones of today's, so that its database can be upgraded.
    """
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        return False
    today = _migrations("HEAD")
    changes = _git("log", "--first-parent", "--format=%H", "HEAD", "--", _MIGRATIONS).decode().split()
    for parent in (f"{commit}^" for commit in changes):
        before = _migrations(parent)
        if 0 < len(before) < len(today) and before == today[: len(before)]:
            with tarfile.open(
                fileobj=io.BytesIO(_git("archive", parent, "bot", "migrations", "manifest.yml"))
            ) as archive:
                archive.extractall(folder, filter="data")
            return True
    return False


def _migrations(commit: str) -> list[str]:
    listed = _git("ls-tree", "--name-only", commit, f"{_MIGRATIONS}/").decode().split()
    return sorted(name for name in listed if name.endswith(".py"))


def _git(*arguments: str) -> bytes:
    """Return git's output; nothing when it fails, as for a commit that a shallow clone lacks."""
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=False).stdout
