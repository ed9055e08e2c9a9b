"""Secrets in files: each secret setting is also read from the file that `NAME_FILE` names."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest

from bot.config.settings import Settings, doubtful_names, secret_variables
from bot.errors import ConfigError

VALUES = {
    "SLACK_BOT_TOKEN": "xoxb-1-hunter2",
    "SLACK_APP_TOKEN": "xapp-1-hunter2",
    "DATABASE_URL": "postgresql://bot:hunter2@/bot",
}


@pytest.mark.parametrize("name", secret_variables())
def test_each_secret_is_read_from_a_file(tmp_path: Path, name: str) -> None:
    """The value is the file's text without the newline at its end, and is shown no more than another secret."""
    text = VALUES.get(name, "hunter2")
    environ = {f"{each}_FILE": written(tmp_path, value, each) for each, value in VALUES.items()}
    settings = Settings.load({**environ, f"{name}_FILE": written(tmp_path, f"{text}\n")})

    assert getattr(settings, name.lower()).get_secret_value() == text
    assert "hunter2" not in f"{settings!r} {settings} {settings.model_dump_json()}"


def test_every_token_key_and_url_with_a_password_is_secret() -> None:
    """The secret settings include every setting whose name says so."""
    assert {"SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "SLACK_SIGNING_SECRET", "OPENAI_API_KEY", "DATABASE_URL"} <= {
        *secret_variables()
    }


def test_the_env_file_may_name_a_secrets_file(tmp_path: Path) -> None:
    """A line of `.env` names the file, and nobody is warned of the variable."""
    env_file = tmp_path / ".env"
    env_file.write_text(f"OPENAI_API_KEY_FILE={written(tmp_path, 'hunter2')}\n")
    settings = Settings.load({}, env_file)

    assert settings.openai_api_key is not None
    assert settings.openai_api_key.get_secret_value() == "hunter2"
    assert doubtful_names({"OPENAI_API_KEY_FILE": "x"}, env_file) == {}


def test_both_ways_at_once_are_refused(tmp_path: Path) -> None:
    """The line names both variables. It holds also when one of them is in the environment and one in the file."""
    env_file = tmp_path / ".env"
    env_file.write_text(f"OPENAI_API_KEY_FILE={written(tmp_path, 'x')}\n")

    with pytest.raises(ConfigError, match=r"^OPENAI_API_KEY_FILE is set beside OPENAI_API_KEY\. [^\n]+\.$"):
        Settings.load({"OPENAI_API_KEY": "y"}, env_file)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "cannot be read"),
        (b"", "names an empty file"),
        (b" \n", "names an empty file"),
        (b"hunter2\nhunter2\n", "does not hold one line"),
        (b"hunter2\xff", "cannot be read"),
        (b"h" * 200_000, "does not hold one line"),
    ],
    ids=["missing", "empty", "blank", "two lines", "no text", "too long"],
)
def test_a_file_without_a_secret_is_one_line(tmp_path: Path, content: bytes | None, problem: str) -> None:
    """The line names the variable and the remedy. It repeats neither the file's path nor its text."""
    file = tmp_path / "hunter2"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=rf"^OPENAI_API_KEY_FILE [^\n]*{problem}[^\n]*\. Name a file [^\n]+\.$") as at:
        Settings.load({"OPENAI_API_KEY_FILE": str(file)})

    assert "hunter2" not in "".join(traceback.format_exception(at.value))


@pytest.mark.parametrize("path", ["sk-hunter2", "/nowhere/hunter2", "\0hunter2", "~hunter2/x", "/"])
def test_a_path_that_leads_nowhere_is_one_line(path: str) -> None:
    """A secret that was put where its file's path belongs does not reach the log."""
    with pytest.raises(ConfigError, match=r"^SLACK_SIGNING_SECRET_FILE names [^\n]*cannot be read[^\n]*$") as caught:
        Settings.load({"SLACK_SIGNING_SECRET_FILE": path})
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


def test_a_wrong_value_in_a_file_names_the_setting(tmp_path: Path) -> None:
    """The error of a value is the same in both ways, and does not repeat it."""
    with pytest.raises(ConfigError, match=r"^SLACK_BOT_TOKEN does not start with xoxb-\.") as caught:
        Settings.load({"SLACK_BOT_TOKEN_FILE": written(tmp_path, "hunter2")})
    assert "hunter2" not in str(caught.value)


def test_a_command_without_slack_reads_no_token(tmp_path: Path) -> None:
    """An operator whose account may not read the tokens can still run `attendant status`."""
    environ = {"SLACK_BOT_TOKEN_FILE": str(tmp_path / "nowhere"), "PORT": "5"}

    assert Settings.load(environ, without_slack=True).port == 5


@pytest.mark.parametrize("name", ["SLACK_SIGING_SECRET_FILE", "slack_bot_token_file", "OPENAI_API_KEY_FIL"])
def test_a_misspelt_name_of_a_secrets_file_stops_the_start(tmp_path: Path, name: str) -> None:
    """The names are checked as those of the settings are."""
    env_file = tmp_path / ".env"
    env_file.write_text(f"{name}=/run/secrets/x\n")

    with pytest.raises(ConfigError, match=rf"^{name} in the .env file is no setting\. Rename it to [A-Z_]+_FILE, "):
        Settings.load({}, env_file)


def written(folder: Path, text: str, name: str = "secret") -> str:
    """Write a file with this text. Return its path."""
    file = folder / name
    file.write_text(text)
    return str(file)
