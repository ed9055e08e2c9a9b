"""Settings: every knob, its default and its unit. The only reader of the environment and of `.env`.

Rule: a bad value stops the start with one line that names the variable and the remedy. Empty means unset.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError

from bot.config import dotenv, parsers, secret_files, spelling
from bot.errors import ConfigError

Mode = Literal["socket", "http", "playground"]

ENV_FILE = Path(".env")  # of the current folder


def _parsed(parse: Callable[[str], Any]) -> BeforeValidator:
    """Parse the text of a variable; a value that is no text passes as it is."""
    return BeforeValidator(lambda value: parse(value) if isinstance(value, str) else value)


def _count(least: int, most: int) -> BeforeValidator:
    return _parsed(parsers.whole_number(least, most))


BotToken = Annotated[SecretStr | None, _parsed(parsers.prefixed("xoxb-"))]
AppToken = Annotated[SecretStr | None, _parsed(parsers.prefixed("xapp-"))]
DatabaseUrl = Annotated[SecretStr, _parsed(parsers.database_url)]  # it may hold a password
HttpUrl = Annotated[str, _parsed(parsers.http_url)]
SlashCommand = Annotated[str, _parsed(parsers.slash_command)]
Port = Annotated[int, _count(0, 65_535)]
Turns = Annotated[int, _count(1, 100_000)]
Hours = Annotated[float, _parsed(parsers.positive_number(parsers.MAX_HOURS))]
HoursByChannel = Annotated[tuple[tuple[str, float], ...], _parsed(parsers.hours_by_channel)]
Ids = Annotated[tuple[str, ...], _parsed(parsers.slack_ids)]
Prefixes = Annotated[tuple[str, ...], _parsed(parsers.prefixes)]
Models = Annotated[tuple[str, ...], _parsed(parsers.models)]
Origins = Annotated[tuple[str, ...], _parsed(parsers.origins)]
Networks = Annotated[tuple[parsers.Network, ...], _parsed(parsers.networks)]


def _setting(default: Any, remedy: str) -> Any:
    """A default, and the advice with which the error of a bad value ends."""
    return Field(default, json_schema_extra={"remedy": remedy})


class Settings(BaseModel):
    """Everything that can be set, checked. The variable of a field is the field's name in capitals."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    slack_bot_token: BotToken = _setting(None, "Copy the Bot User OAuth Token from your app's Install App page.")
    slack_app_token: AppToken = _setting(None, "Create an app-level token with connections:write on Basic Information.")
    slack_signing_secret: SecretStr | None = _setting(
        None, "Copy the Signing Secret from your app's Basic Information page."
    )
    slack_api_url: HttpUrl = _setting("https://slack.com/api/", "Unset it to use Slack's own.")
    slack_command: SlashCommand = _setting("/attendant", "Use for instance /attendant.")
    slack_reset_command: SlashCommand = _setting("/reset", "Use for instance /reset.")
    slack_streaming: Annotated[str, _parsed(parsers.choice("auto", "direct", "off"))] = _setting(
        "auto", "Unset it for auto."
    )
    slack_behaviour_file: Path = _setting(Path("data/slack-behaviour.json"), "Name a JSON file.")
    dm_sessions: Annotated[str, _parsed(parsers.choice("rolling", "threads"))] = _setting(
        "rolling", "Unset it for rolling."
    )
    answer_in_threads: Annotated[str, _parsed(parsers.choice("all", "participants", "mentions"))] = _setting(
        "all", "Unset it for all."
    )
    long_answer_messages: Annotated[int, _count(0, 100)] = _setting(3, "Use for instance 3.")
    host: str = _setting("127.0.0.1", "Use for instance 127.0.0.1.")
    port: Port = _setting(3000, "Use for instance 3000.")
    openai_api_key: SecretStr | None = _setting(None, "Copy it from your model provider.")
    openai_base_url: HttpUrl | None = _setting(None, "Use for instance http://127.0.0.1:11434/v1.")
    openai_model: str = _setting("gpt-5.4-mini", "Name a model that your backend serves.")
    openai_tools: Annotated[str, _parsed(parsers.choice("auto", "off"))] = _setting("auto", "Unset it for auto.")
    openai_images: Annotated[str, _parsed(parsers.choice("auto", "off"))] = _setting("auto", "Unset it for auto.")
    model_timeout_seconds: Annotated[float, _parsed(parsers.positive_number(86_400))] = _setting(
        60.0, "Use for instance 60."
    )
    model_patience_seconds: Annotated[float, _parsed(parsers.number(3_600))] = _setting(60.0, "Use for instance 60.")
    model_window_tokens: Annotated[int | None, _count(1_000, 100_000_000)] = _setting(None, "Use for instance 32768.")
    answer_tokens: Annotated[int, _count(1, 10_000_000)] = _setting(2_000, "Use for instance 2000.")
    history_tokens: Annotated[int, _count(100, 10_000_000)] = _setting(12_000, "Use for instance 12000.")
    persona_file: Path | None = _setting(None, "Name a Markdown file, or unset it.")
    max_file_mb: Annotated[int, _count(1, 100)] = _setting(20, "Use for instance 20.")
    max_file_characters: Annotated[int, _count(1_000, 1_000_000)] = _setting(50_000, "Use for instance 50000.")
    session_idle_hours: Hours = _setting(24.0, "Use for instance 24.")
    session_idle_hours_by_channel: HoursByChannel = _setting((), "Use for instance C0123456789=2,C0456789012=72.")
    expiry_warning_minutes: Annotated[float | None, _parsed(parsers.positive_number(60 * parsers.MAX_HOURS))] = (
        _setting(None, "Use for instance 30, or unset it.")
    )
    access_allow: Ids = _setting((), "Use for instance T0123456789,C0123456789,S0123456789.")
    access_deny: Ids = _setting((), "Use for instance U0123456789.")
    answer_guests: Annotated[str, _parsed(parsers.choice("never", "mention", "always"))] = _setting(
        "always", "Unset it for always."
    )
    answer_externals: Annotated[str, _parsed(parsers.choice("never", "mention", "always"))] = _setting(
        "mention", "Unset it for mention."
    )
    redaction: Annotated[str, _parsed(parsers.choice("on", "off"))] = _setting("on", "Unset it for on.")
    redaction_ibans: Annotated[str, _parsed(parsers.choice("on", "off"))] = _setting("off", "Unset it for off.")
    redaction_patterns_file: Path | None = _setting(None, "Name a text file, or unset it.")
    retention_days: Annotated[int, _count(1, 36_500)] = _setting(14, "Use for instance 14.")
    max_running_turns: Turns = _setting(1_000, "Use for instance 1000.")
    max_running_turns_per_workspace: Turns = _setting(1_000, "Use for instance 1000.")
    max_running_turns_per_person: Turns = _setting(20, "Use for instance 20.")
    max_waiting_turns: Annotated[int, _count(1, 1_000_000)] = _setting(10_000, "Use for instance 10000.")
    max_attempts: Annotated[int, _count(1, 100)] = _setting(3, "Use for instance 3.")
    drain_seconds: Annotated[float, _parsed(parsers.positive_number(3_600))] = _setting(20.0, "Use for instance 20.")
    health_port: Port | None = _setting(None, "Use for instance 8080.")
    gateway_port: Port | None = _setting(None, "Use for instance 8000.")
    gateway_prefixes: Prefixes = _setting(("/v1", "/api/publicLLM"), "Use for instance /v1,/api/publicLLM.")
    gateway_models: Models = _setting((), "Name models that your backend serves.")
    gateway_system_messages: Annotated[str, _parsed(parsers.choice("add", "refuse"))] = _setting(
        "add", "Unset it for add."
    )
    gateway_stored_mb_per_key: Annotated[int, _count(1, 1_000_000)] = _setting(200, "Use for instance 200.")
    gateway_wait_seconds: Annotated[float, _parsed(parsers.positive_number(600))] = _setting(
        30.0, "Use for instance 30."
    )
    gateway_client_timeout_seconds: Annotated[float, _parsed(parsers.positive_number(3_600))] = _setting(
        60.0, "Use for instance 60."
    )
    gateway_max_body_bytes: Annotated[int, _count(1_000, 100_000_000)] = _setting(
        1_000_000, "Use for instance 1000000."
    )
    gateway_max_messages: Annotated[int, _count(1, 100_000)] = _setting(1_000, "Use for instance 1000.")
    gateway_max_running_per_key: Turns = _setting(20, "Use for instance 20.")
    gateway_requests_per_minute: Annotated[int, _count(1, 100_000_000)] = _setting(600, "Use for instance 600.")
    gateway_tokens_per_minute: Annotated[int, _count(1, 999_999_999)] = _setting(1_000_000, "Use for instance 1000000.")
    gateway_origins: Origins = _setting((), "Use for instance https://www.example.com.")
    gateway_trusted_proxies: Networks = _setting((), "Use for instance 127.0.0.1.")
    database_url: DatabaseUrl = _setting(
        SecretStr("sqlite:///data/attendant.db"),
        "Use for instance postgresql://user:password@host/name?sslmode=verify-full.",
    )
    log_level: Annotated[str, _parsed(parsers.choice("debug", "info", "warning", "error"))] = _setting(
        "info", "Unset it for info."
    )
    log_format: Annotated[str, _parsed(parsers.choice("auto", "human", "json"))] = _setting(
        "auto", "Unset it for auto."
    )

    @classmethod
    def load(cls, environ: Mapping[str, str], env_file: Path | None = None, *, without_slack: bool = False) -> Self:
        """Return the settings of this environment; a variable that is set there overrides the `.env` file's.

        `without_slack` leaves the tokens out, for commands that do not connect to Slack.

        Raises ConfigError for a value or a line that does not parse, for a secret's file that cannot be read, for a
        line of the `.env` file with a misspelt name, and for half a Slack configuration.
        """
        from_file = dotenv.read(env_file) if env_file else {}
        variables = from_file | {name: text for name, text in environ.items() if text.strip()}
        _check_spelling(from_file, variables)
        fields = [name for name in cls.model_fields if not (without_slack and name in _SLACK_SECRETS)]
        variables = {**variables, **secret_files.read(variables, map(variable, filter(_is_secret, fields)))}
        texts = {name: variables.get(variable(name), "").strip() for name in fields}
        settings = cls._validated({name: text for name, text in texts.items() if text})
        _check_together(settings)
        return settings

    @classmethod
    def _validated(cls, values: Mapping[str, Any]) -> Self:
        try:
            return cls(**values)
        except ValidationError as error:
            refused = error.errors(include_url=False, include_input=False)[0]
        # Raised here, outside of the handler: pydantic's error holds the values.
        name, problem = str(refused["loc"][0]), refused["ctx"]["error"]
        extra = cls.model_fields[name].json_schema_extra
        raise ConfigError(variable(name), str(problem), str(extra["remedy"]) if isinstance(extra, dict) else "")

    def connected_to(self, api_url: str, *, bot_token: str, app_token: str) -> Self:
        """Return these settings with the address and the tokens of another Slack, for instance of the playground."""
        tokens = {"slack_bot_token": SecretStr(bot_token), "slack_app_token": SecretStr(app_token)}
        return self.model_copy(update={"slack_api_url": api_url, **tokens})

    @property
    def mode(self) -> Mode:
        """How the bot meets Slack: by Socket Mode, over HTTP, or in the playground when no Slack setting is set.

        Raises ConfigError when the Slack settings are half there.
        """
        if not self.slack_bot_token:
            for name in ("slack_app_token", "slack_signing_secret"):
                if getattr(self, name):
                    raise ConfigError(
                        "SLACK_BOT_TOKEN",
                        f"is missing while {variable(name)} is set",
                        "Copy the Bot User OAuth Token from your app's Install App page.",
                    )
            return "playground"
        if self.slack_app_token:
            return "socket"
        if self.slack_signing_secret:
            return "http"
        raise ConfigError(
            "SLACK_APP_TOKEN",
            "is missing while SLACK_BOT_TOKEN is set",
            "Set it for Socket Mode, or SLACK_SIGNING_SECRET for HTTP.",
        )

    @property
    def idle_after(self) -> timedelta:
        """For how long a session may be silent before it expires."""
        return timedelta(hours=self.session_idle_hours)

    @property
    def idle_after_by_channel(self) -> Mapping[str, timedelta]:
        """The same, in the channels that have a limit of their own."""
        return {channel: timedelta(hours=hours) for channel, hours in self.session_idle_hours_by_channel}

    @property
    def warn_ahead(self) -> timedelta | None:
        """How long before its expiry a session is warned; None: not at all."""
        return timedelta(minutes=self.expiry_warning_minutes) if self.expiry_warning_minutes else None

    @property
    def warns_too_early(self) -> bool:
        """Whether some session would be warned as soon as it is silent."""
        shortest = min([self.idle_after, *self.idle_after_by_channel.values()])
        return self.warn_ahead is not None and self.warn_ahead >= shortest

    @property
    def retention(self) -> timedelta:
        """For how long the emptied rows of closed sessions are kept."""
        return timedelta(days=self.retention_days)

    @property
    def uses_demo_model(self) -> bool:
        """Whether the demo model answers, because neither a key nor a backend's address is set."""
        return not self.openai_api_key and not self.openai_base_url


_SLACK_SECRETS = {"slack_bot_token", "slack_app_token", "slack_signing_secret"}


def variable(field_name: str) -> str:
    """The environment variable of a field of Settings."""
    return field_name.upper()


def doubtful_names(environ: Mapping[str, str], env_file: Path) -> dict[str, str]:
    """Return the variables that no setting reads although their names resemble a setting's, each with that setting.

    In the environment, which holds the variables of many programs, the resemblance must be closer than in the file.
    Raises ConfigError for a line that does not parse.
    """
    known = _variables()
    return spelling.misspelt(environ, known) | spelling.similar(dotenv.read(env_file), known)


def secret_variables() -> list[str]:
    """Return the variables of secret settings. Each is also read from a file, which `NAME_FILE` names."""
    return [variable(name) for name in Settings.model_fields if _is_secret(name)]


def _is_secret(field_name: str) -> bool:
    return secret_files.is_secret(Settings.model_fields[field_name].annotation)


def _variables() -> list[str]:
    in_files = [f"{name}{secret_files.SUFFIX}" for name in secret_variables()]
    return [*map(variable, Settings.model_fields), *in_files]


def _check_spelling(from_file: Mapping[str, str], variables: Mapping[str, str]) -> None:
    """Refuse a misspelt line of the file. If its setting is set as well, the line may be another program's."""
    for name, meant in spelling.misspelt(from_file, _variables()).items():
        if meant not in variables:
            raise ConfigError(name, "in the .env file is no setting", f"Rename it to {meant}, or remove the line.")


def _check_together(settings: Settings) -> None:
    if settings.slack_command == settings.slack_reset_command:
        raise ConfigError("SLACK_RESET_COMMAND", "is the same as SLACK_COMMAND", "Give each a name of its own.")
    if settings.warns_too_early:
        raise ConfigError(
            "EXPIRY_WARNING_MINUTES",
            "is not less than the shortest idle limit, of SESSION_IDLE_HOURS or SESSION_IDLE_HOURS_BY_CHANNEL",
            "Lower it, or unset it.",
        )
    _ = settings.mode  # raises for a half-set Slack configuration
