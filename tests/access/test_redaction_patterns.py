"""The operator's file of patterns."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.access.redaction import Redactor
from bot.config.settings import Settings
from bot.errors import ConfigError


def settings_with(tmp_path: Path, content: str | bytes) -> Settings:
    """Return settings with a file of this content."""
    file = tmp_path / "patterns"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return Settings(redaction_patterns_file=file)


def test_a_file_of_patterns(tmp_path: Path) -> None:
    """Each line has a label and a pattern, which may hold an equals sign; comments and empty lines are left out."""
    lines = "# ours\n\nemployee number = \\bEMP-\\d{6}\\b\nbadge=(?i)badge=\\w+\n"
    redactor = Redactor.from_settings(settings_with(tmp_path, lines))

    assert redactor.text("EMP-123456 has BADGE=x1") == "[employee number removed] has [badge removed]"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("no pattern here", "has no label and pattern in line 1"),
        ("# x\n= y", "has no label and pattern in line 2"),
        ("label = (", "has no regular expression in line 1: missing ), unterminated subpattern at position 0"),
        ("label = x*", "has a pattern in line 1 that matches empty text"),
        (b"\xff\xfe", "cannot be read: it is not UTF-8 text"),
    ],
)
def test_a_file_that_cannot_be_used(tmp_path: Path, content: str | bytes, problem: str) -> None:
    """The error names the variable, the line and the remedy."""
    with pytest.raises(ConfigError, match=r"^REDACTION_PATTERNS_FILE") as error:
        Redactor.from_settings(settings_with(tmp_path, content))

    assert problem in str(error.value)


def test_a_missing_file(tmp_path: Path) -> None:
    """A file that is not there stops the start."""
    with pytest.raises(ConfigError, match="No such file"):
        Redactor.from_settings(Settings(redaction_patterns_file=tmp_path / "none"))


def test_the_settings_switch_it() -> None:
    """REDACTION=off keeps everything; REDACTION_IBANS=on removes IBANs, too."""
    token, iban = f"ghp_{'a1B2c3D4e5F6' * 3}", "DE89370400440532013000"

    assert Redactor.from_settings(Settings()).text(f"{token} {iban}") == f"[GitHub token removed] {iban}"
    assert Redactor.from_settings(Settings(redaction="off", redaction_ibans="on")).text(f"{token} {iban}") == (
        f"{token} {iban}"
    )
    assert Redactor.from_settings(Settings(redaction_ibans="on")).text(iban) == "[IBAN removed]"
