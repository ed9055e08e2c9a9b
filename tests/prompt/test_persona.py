"""Persona: one text for all conversations, read from a file that must exist."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.errors import ConfigError
from bot.prompt import persona


def test_the_default_persona() -> None:
    """The default persona is an attendant that asks before it assumes and admits when it does not know."""
    text = persona.load()

    assert text.startswith("# Who you are")
    assert "Ask before you assume" in text
    assert "do not know" in text


def test_a_file_replaces_the_persona(tmp_path: Path) -> None:
    """The file's text comes first. The description of threads follows it."""
    file = tmp_path / "me.md"
    file.write_text("\n  You are Otto. Grüße!  \n", encoding="utf-8")
    text = persona.load(file)

    assert text.startswith("You are Otto. Grüße!\n\n")
    assert "Ask before" not in text
    assert text.split("\n\n")[1] == persona.load().split("\n\n")[-1]


def test_it_is_the_same_every_time() -> None:
    """The text never changes, because backends cache the same prefix."""
    assert persona.load() == persona.load()


@pytest.mark.parametrize("content", [None, b"", b" \n ", b"\xff\xfe\x00"], ids=["missing", "empty", "blank", "bytes"])
def test_a_file_that_is_no_persona_stops_the_start(tmp_path: Path, content: bytes | None) -> None:
    """The error names the variable and the remedy."""
    file = tmp_path / "me.md"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(ConfigError, match=r"^PERSONA_FILE [^\n]+$"):
        persona.load(file)
