"""Settings: the accepted texts, the errors for other texts, and the secrets that are never shown."""

from __future__ import annotations

import traceback
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from bot.config.settings import Settings, doubtful_names
from bot.errors import ConfigError

BOT, APP, SECRET = "xoxb-1-secret", "xapp-1-secret", "signing-secret"


def test_nothing_set_is_the_playground_with_the_demo_model() -> None:
    """Without any setting, the bot starts the playground with the demo model."""
    settings = Settings.load({})

    assert (settings.mode, settings.uses_demo_model) == ("playground", True)
    assert (settings.host, settings.port, settings.idle_after) == ("127.0.0.1", 3000, timedelta(hours=24))


@pytest.mark.parametrize(
    ("environ", "mode"),
    [
        ({"SLACK_BOT_TOKEN": BOT, "SLACK_APP_TOKEN": APP}, "socket"),
        ({"SLACK_BOT_TOKEN": BOT, "SLACK_SIGNING_SECRET": SECRET}, "http"),
        ({"SLACK_BOT_TOKEN": BOT, "SLACK_APP_TOKEN": APP, "SLACK_SIGNING_SECRET": SECRET}, "socket"),
        ({"SLACK_BOT_TOKEN": "  ", "SLACK_APP_TOKEN": ""}, "playground"),
    ],
)
def test_the_tokens_choose_the_mode(environ: dict[str, str], mode: str) -> None:
    """Socket Mode is used if the tokens allow both modes. An empty token counts as unset."""
    assert Settings.load(environ).mode == mode


@pytest.mark.parametrize(
    ("environ", "missing"),
    [
        ({"SLACK_BOT_TOKEN": BOT}, "SLACK_APP_TOKEN"),
        ({"SLACK_APP_TOKEN": APP}, "SLACK_BOT_TOKEN"),
        ({"SLACK_SIGNING_SECRET": SECRET}, "SLACK_BOT_TOKEN"),
        ({"SLACK_APP_TOKEN": APP, "SLACK_SIGNING_SECRET": SECRET}, "SLACK_BOT_TOKEN"),
    ],
)
def test_a_half_set_configuration_names_the_missing_setting(environ: dict[str, str], missing: str) -> None:
    """If only half of the tokens are set, the start fails with an error."""
    with pytest.raises(ConfigError, match=f"^{missing} is missing") as caught:
        Settings.load(environ)
    assert caught.value.setting == missing


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SLACK_BOT_TOKEN", "xoxp-user-token"),
        ("SLACK_APP_TOKEN", BOT),
        ("SLACK_API_URL", "slack.com/api"),
        ("SLACK_COMMAND", "attendant"),
        ("SLACK_RESET_COMMAND", "/" + "x" * 32),
        ("SLACK_STREAMING", "sometimes"),
        ("PORT", "65536"),
        ("PORT", "-1"),
        ("PORT", "٣٠٠٠"),
        ("PORT", "9" * 5000),
        ("OPENAI_BASE_URL", "ftp://host"),
        ("OPENAI_BASE_URL", "http://"),
        ("OPENAI_BASE_URL", "http://host:eleven/v1"),
        ("OPENAI_BASE_URL", "http://[::1"),
        ("MODEL_TIMEOUT_SECONDS", "0"),
        ("MODEL_TIMEOUT_SECONDS", "soon"),
        ("MODEL_PATIENCE_SECONDS", "-1"),
        ("MODEL_PATIENCE_SECONDS", "nan"),
        ("MODEL_PATIENCE_SECONDS", "for ever"),
        ("HISTORY_TOKENS", "99"),
        ("SESSION_IDLE_HOURS", "nan"),
        ("SESSION_IDLE_HOURS", "inf"),
        ("SESSION_IDLE_HOURS", "1e300"),
        ("MAX_RUNNING_TURNS", "0"),
        ("MAX_RUNNING_TURNS_PER_WORKSPACE", "many"),
        ("MAX_RUNNING_TURNS_PER_PERSON", "1.5"),
        ("MAX_WAITING_TURNS", "1000001"),
        ("MAX_ATTEMPTS", "0"),
        ("DRAIN_SECONDS", "-1"),
        ("HEALTH_PORT", "65536"),
        ("DATABASE_URL", "mysql://host/db"),
        ("LOG_LEVEL", "loud"),
        ("LOG_FORMAT", "xml"),
    ],
)
def test_a_wrong_value_is_one_line_with_a_remedy(name: str, value: str) -> None:
    """The line begins with the variable, names the problem, and ends with the remedy."""
    with pytest.raises(ConfigError, match=rf"^{name} (is|does) [^\n]+\. [^\n]+\.$"):
        Settings.load({name: value})


@pytest.mark.parametrize(
    ("name", "value", "read"),
    [
        ("slack_api_url", "http://127.0.0.1:9/api", "http://127.0.0.1:9/api/"),
        ("openai_base_url", "http://127.0.0.1:11434/v1//", "http://127.0.0.1:11434/v1/"),
        ("database_url", "postgres://bot@host/db", SecretStr("postgresql://bot@host/db")),
        ("slack_streaming", "OFF", "off"),
        ("session_idle_hours", "0.5", 0.5),
        ("persona_file", "~/me.md", Path("~/me.md")),
        ("port", " 8080 ", 8080),
    ],
)
def test_values_are_read_in_their_usual_spellings(name: str, value: str, read: object) -> None:
    """Addresses end in one slash, `postgres://` is accepted, and neither case nor surrounding spaces matter."""
    assert getattr(Settings.load({name.upper(): value}), name) == read


@pytest.mark.parametrize("environ", [{"OPENAI_API_KEY": "k"}, {"OPENAI_BASE_URL": "http://127.0.0.1/v1"}])
def test_a_key_or_an_address_connects_a_model(environ: dict[str, str]) -> None:
    """The demo model answers only if neither a key nor an address is set."""
    assert not Settings.load(environ).uses_demo_model


def test_secrets_are_not_shown() -> None:
    """No repr or other text of the settings contains a token, a key or the database's password."""
    secrets = {
        "SLACK_BOT_TOKEN": BOT,
        "SLACK_APP_TOKEN": APP,
        "SLACK_SIGNING_SECRET": SECRET,
        "OPENAI_API_KEY": "sk-secret",
        "DATABASE_URL": "postgresql://bot:secret@host/db",
    }

    settings = Settings.load(secrets)
    shown = f"{settings!r} {settings} {settings.database_url} {settings.model_dump_json()}"

    assert "secret" not in shown.replace("slack_signing_secret", "")


@pytest.mark.parametrize("name", ["SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "DATABASE_URL", "OPENAI_BASE_URL"])
def test_an_error_about_a_secret_does_not_contain_it(name: str) -> None:
    """A token in the wrong setting does not reach the log."""
    with pytest.raises(ConfigError) as caught:
        Settings.load({name: "http://user:hunter2:x@[host"})
    assert "hunter2" not in str(caught.value)
    assert caught.value.__context__ is None  # pydantic's error, which holds the value


def test_two_commands_cannot_share_a_name() -> None:
    """Two slash commands with one name are refused, because Slack could not route them."""
    with pytest.raises(ConfigError, match=r"^SLACK_RESET_COMMAND is the same as SLACK_COMMAND\. [^\n]+\.$"):
        Settings.load({"SLACK_RESET_COMMAND": "/attendant"})


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    """A variable of the environment overrides the file's. An empty variable does not."""
    file = written(tmp_path, "PORT=4000\nHOST=0.0.0.0\n")
    settings = Settings.load({"PORT": "5000", "HOST": " "}, file)

    assert (settings.port, settings.host) == (5000, "0.0.0.0")  # noqa: S104 - read, not bound


def test_the_file_is_optional(tmp_path: Path) -> None:
    """The settings can be loaded without a `.env` file."""
    assert Settings.load({}, tmp_path / ".env") == Settings.load({})


@pytest.mark.parametrize(
    ("line", "model"),
    [
        ("OPENAI_MODEL=m", "m"),
        ("  export OPENAI_MODEL = m  ", "m"),
        ("OPENAI_MODEL=m # the small one", "m"),
        ("OPENAI_MODEL=m#1", "m#1"),
        ("OPENAI_MODEL='m # 1' # 'quoted'", "m # 1"),
        ('OPENAI_MODEL="m" # say "hi"', "m"),
        ("OPENAI_MODEL = \"m='1'\"", "m='1'"),
        ("\ufeffOPENAI_MODEL=m", "m"),
        ("OPENAI_MODEL=m\r", "m"),
        ("OPENAI_MODEL=first\nOPENAI_MODEL=m", "m"),
        ("OPENAI_MODEL=   # none yet", "gpt-5.4-mini"),
        ("OPENAI_MODEL=''", "gpt-5.4-mini"),
        ("# OPENAI_MODEL=m\n\n", "gpt-5.4-mini"),
    ],
)
def test_lines_of_the_file(tmp_path: Path, line: str, model: str) -> None:
    """Comments, quotes, `export`, spaces, a byte order mark and Windows' line ends are accepted."""
    assert Settings.load({}, written(tmp_path, line)).openai_model == model


@pytest.mark.parametrize("line", ["hunter2", "=hunter2", "2X=hunter2", "A-B=hunter2", "A='hunter2", 'A="hunter2" x'])
def test_a_broken_line_is_named_by_its_number_and_not_repeated(tmp_path: Path, line: str) -> None:
    """The error has only the number of the line, because the line may contain a token."""
    with pytest.raises(ConfigError, match="line 2, ") as caught:
        Settings.load({}, written(tmp_path, f"PORT=1\n{line}\n"))
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("content", [b"\xff\xfe", None], ids=["not text", "a folder"])
def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path, content: bytes | None) -> None:
    """The line names the file."""
    file = tmp_path / ".env"
    file.mkdir() if content is None else file.write_bytes(content)

    with pytest.raises(ConfigError, match=r"\.env cannot be read"):
        Settings.load({}, file)


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("GATEWAY_MAX_RUNING_PER_KEY=5", "GATEWAY_MAX_RUNNING_PER_KEY"),
        ("SESSION_IDLE_HOUR=2", "SESSION_IDLE_HOURS"),
        ("gateway_port=8000", "GATEWAY_PORT"),
        ("SLACK_SIGING_SECRET=hunter2", "SLACK_SIGNING_SECRET"),
    ],
)
def test_a_misspelt_line_of_the_file_stops_the_start(tmp_path: Path, line: str, meant: str) -> None:
    """The one line names the variable and the setting, and repeats no value."""
    name = line.partition("=")[0]
    with pytest.raises(ConfigError, match=rf"^{name} in the .env file is no setting\. Rename it to {meant}, [^\n]+\.$"):
        Settings.load({}, written(tmp_path, line))


def test_a_misspelt_line_beside_its_setting_is_a_warning(tmp_path: Path) -> None:
    """It may be another program's, because the setting is set."""
    file = written(tmp_path, "DATABASE_URI=mysql://host/db\nDATABASE_URL=sqlite:///here.db\n")

    assert Settings.load({}, file).database_url.get_secret_value() == "sqlite:///here.db"
    assert doubtful_names({}, file) == {"DATABASE_URI": "DATABASE_URL"}


def test_names_of_other_programs_are_accepted(tmp_path: Path) -> None:
    """A `.env` file may be shared, for instance with docker compose."""
    names = ["COMPOSE_PROJECT_NAME", "POSTGRES_PASSWORD", "SLACK_WEBHOOK_URL", "OPENAI_ORG_ID", "HOSTNAME", "TZ", "_"]
    file = written(tmp_path, "".join(f"{name}=x\n" for name in [*names, "OPENAI_ORG_ID"]))

    assert Settings.load({}, file) == Settings.load({})
    assert doubtful_names(dict.fromkeys(names, "x"), file) == {}


def test_names_that_resemble_a_setting_are_told(tmp_path: Path) -> None:
    """In the environment only a letter or two may differ. In the file a missing unit is told, too."""
    names = {"LOGLEVEL": "debug", "MODEL_TIMEOUT": "5"}

    assert doubtful_names(names, tmp_path / ".env") == {"LOGLEVEL": "LOG_LEVEL"}
    assert doubtful_names({}, written(tmp_path, "MODEL_TIMEOUT=5")) == {"MODEL_TIMEOUT": "MODEL_TIMEOUT_SECONDS"}
    assert doubtful_names({}, written(tmp_path, "SESSION_IDLE=5")) == {"SESSION_IDLE": "SESSION_IDLE_HOURS"}


def test_no_setting_is_told_to_resemble_another(tmp_path: Path) -> None:
    """A setting is no misspelling of another one whose name is longer, such as its file's."""
    lines = "SESSION_IDLE_HOURS=5\nOPENAI_API_KEY=sk\nDATABASE_URL=sqlite:///x.db\n"

    assert doubtful_names({}, written(tmp_path, lines)) == {}


printable = st.text(st.characters(exclude_categories=["C", "Zl", "Zp", "Zs"]), min_size=1)


@given(value=printable, quote=st.sampled_from(["'", '"']))
def test_any_value_in_quotes_comes_back(tmp_path_factory: pytest.TempPathFactory, value: str, quote: str) -> None:
    """A quoted value may contain any text except its own quote."""
    value = value.replace(quote, "") or "x"
    file = written(tmp_path_factory.getbasetemp(), f"OPENAI_MODEL={quote}{value}{quote}  # a comment")

    assert Settings.load({}, file).openai_model == value


def written(folder: Path, text: str) -> Path:
    """Write a `.env` file with this text."""
    file = folder / ".env"
    file.write_bytes(text.encode())
    return file


def test_channels_have_limits_of_their_own() -> None:
    """The setting lists each channel's id with its hours. Spaces do not matter."""
    settings = Settings.load({"SESSION_IDLE_HOURS_BY_CHANNEL": "C012=2, G0AB = 0.5"})

    assert settings.idle_after_by_channel == {"C012": timedelta(hours=2), "G0AB": timedelta(minutes=30)}
    assert Settings.load({}).idle_after_by_channel == {}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("#help-desk=2", "channel's id"),
        ("C012", "number above 0"),
        ("C012=0", "number above 0"),
        ("C012=two", "number above 0"),
        ("C012=2,x", "'x'"),
        ("C012=2,C012=3", "twice"),
        ("C012=2;C013=3", "number above 0"),
    ],
)
def test_a_bad_list_of_channels_is_refused(text: str, problem: str) -> None:
    """The error is one line with an example."""
    with pytest.raises(ConfigError, match=rf"^SESSION_IDLE_HOURS_BY_CHANNEL [^\n]*{problem}[^\n]*C0123456789=2"):
        Settings.load({"SESSION_IDLE_HOURS_BY_CHANNEL": text})


@pytest.mark.parametrize(
    "environ",
    [
        {"SESSION_IDLE_HOURS": "1", "EXPIRY_WARNING_MINUTES": "60"},
        {"SESSION_IDLE_HOURS_BY_CHANNEL": "C012=0.5", "EXPIRY_WARNING_MINUTES": "30"},
    ],
)
def test_a_warning_at_once_is_refused(environ: dict[str, str]) -> None:
    """A warning that is due as soon as a session is idle is refused, because it would follow every answer."""
    with pytest.raises(ConfigError, match=r"^EXPIRY_WARNING_MINUTES .*shortest idle limit"):
        Settings.load(environ)

    assert Settings.load(environ | {"EXPIRY_WARNING_MINUTES": "29"}).warn_ahead == timedelta(minutes=29)
    assert Settings.load({}).warn_ahead is None
