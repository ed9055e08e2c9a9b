"""The Dockerfile, parsed: its stages and their instructions, and its steps replayed in a folder without a container."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(slots=True)
class Stage:
    """One stage: the image that it starts from, and its instructions in order."""

    image: str
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def values(self, word: str) -> list[str]:
        """Return the arguments of each instruction of this kind."""
        return [arguments for found, arguments in self.instructions if found == word]

    @property
    def environment(self) -> dict[str, str]:
        """The variables that the stage sets."""
        return dict(pair.split("=", 1) for line in self.values("ENV") for pair in line.split())

    @property
    def health_command(self) -> list[str]:
        """The command of its health check."""
        command: list[str] = json.loads(self.values("HEALTHCHECK")[0].partition("CMD")[2])
        return command


def stages() -> list[Stage]:
    """Return the stages of the repository's Dockerfile."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    found: list[Stage] = []
    for line in filter(str.strip, text.replace("\\\n", " ").splitlines()):
        word, _, arguments = line.strip().partition(" ")
        if word == "FROM":
            found.append(Stage(arguments.split()[0]))
        else:
            found[-1].instructions.append((word, arguments.strip()))
    return found


def replay(stage: Stage, folder: Path) -> None:
    """Copy what its COPY lines name out of the repository, and run its RUN lines as they are, in this folder."""
    environ = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    for word, arguments in stage.instructions:
        if word == "COPY":
            *names, target = arguments.split()
            for name in names:
                copied = folder / target / (name if target == "./" else "")
                copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
                copy(ROOT / name, copied)
        elif word == "RUN":
            subprocess.run(["sh", "-c", arguments], cwd=folder, env=environ, check=True)
