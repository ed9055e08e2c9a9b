"""Settings: every knob, its default and its unit. The only reader of the environment and of `.env`.

Rule: a bad value stops the start with one line that names the variable and the remedy. Empty means unset.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from bot.config import dotenv, parsers
from bot.errors import ConfigError

Mode = Literal["socket", "http", "playground"]

ENV_FILE = Path(".env")  # of the current folder
_MOST_HOURS = 87_600  # ten years


def _choice(*allowed: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text.lower() not in allowed:
            raise ValueError(f"is not one of {', '.join(allowed)}")
        return text.lower()

    return parse


def _whole(least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch("[0-9]{1,9}", text) or not least <= int(text) <= most:
            raise ValueError(f"is not a whole number from {least} to {most}")
        return int(text)

    return parse


def _positive(most: int) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = 0.0
        if not 0 < number <= most:
            raise ValueError(f"is not a number above 0, up to {most}")
        return number

    return parse


def _http_url(text: str) -> str:
    try:
        parts = urlsplit(text)
        fine = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0 and "@" not in parts.netloc
        (parts.hostname or "").encode("idna")  # what a resolver will be asked for
    except ValueError:  # (UnicodeError is one) its own words may repeat a part of the address
        fine = False
    if not fine:
        raise ValueError("is not an http:// or https:// address")
    return text.rstrip("/") + "/"


def _database_url(text: str) -> str:
    if text.startswith("postgres://"):  # the spelling many hosts hand out
        text = "postgresql://" + text.removeprefix("postgres://")
    if not text.startswith(("sqlite:///", "postgresql://")):
        raise ValueError("is neither a sqlite:/// nor a postgresql:// URL")
    return text


def _hours_by_channel(text: str) -> tuple[tuple[str, float], ...]:
    found = []
    for part in filter(None, map(str.strip, text.split(","))):
        channel, _, hours = (piece.strip() for piece in part.partition("="))
        if not re.fullmatch(r"[CDG][A-Z0-9]{1,62}", channel):
            raise ValueError(f"has {part!r}, which is not a channel's id and its hours")
        try:
            found.append((channel, _positive(_MOST_HOURS)(hours)))
        except ValueError as error:
            raise ValueError(f"has a limit for {channel} that {error}") from None
    if len(dict(found)) < len(found):
        raise ValueError("names a channel twice")
    return tuple(found)


def _command(text: str) -> str:
    if not re.fullmatch(r"/[a-z0-9_-]{1,31}", text):  # docs.slack.dev: implementing slash commands
        raise ValueError("is not a slash command (a slash, then 1 to 31 lower-case letters, digits, - or _)")
    return text


def _starts(prefix: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if not text.startswith(prefix):
            raise ValueError(f"does not start with {prefix}")
        return text

    return parse


def _knob(default: Any, parse: Callable[[str], Any], remedy: str, *, secret: bool = False) -> Any:
    """One setting. The variable is the field's name in capitals; the remedy is said when its value is wrong."""
    return dataclasses.field(default=default, repr=not secret, metadata={"parse": parse, "remedy": remedy})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that can be set, checked. Secrets do not show in its repr."""

    slack_bot_token: str | None = _knob(
        None, _starts("xoxb-"), "Copy the Bot User OAuth Token from your app's Install App page.", secret=True
    )
    slack_app_token: str | None = _knob(
        None,
        _starts("xapp-"),
        "Create an app-level token with connections:write on Basic Information.",
        secret=True,
    )
    slack_signing_secret: str | None = _knob(
        None, str, "Copy the Signing Secret from your app's Basic Information page.", secret=True
    )
    slack_api_url: str = _knob("https://slack.com/api/", _http_url, "Unset it to use Slack's own.")
    slack_command: str = _knob("/attendant", _command, "Use for instance /attendant.")
    slack_reset_command: str = _knob("/reset", _command, "Use for instance /reset.")
    slack_streaming: str = _knob("auto", _choice("auto", "direct", "off"), "Unset it for auto.")
    host: str = _knob("127.0.0.1", str, "Use for instance 127.0.0.1.")
    port: int = _knob(3000, _whole(0, 65535), "Use for instance 3000.")
    openai_api_key: str | None = _knob(None, str, "Copy it from your model provider.", secret=True)
    openai_base_url: str | None = _knob(None, _http_url, "Use for instance http://127.0.0.1:11434/v1.")
    openai_model: str = _knob("gpt-5.4-mini", str, "Name a model that your backend serves.")
    openai_tools: str = _knob("auto", _choice("auto", "off"), "Unset it for auto.")
    model_timeout_seconds: float = _knob(60.0, _positive(86_400), "Use for instance 60.")
    model_window_tokens: int | None = _knob(None, _whole(1_000, 100_000_000), "Use for instance 32768.")
    answer_tokens: int = _knob(2_000, _whole(1, 10_000_000), "Use for instance 2000.")
    history_tokens: int = _knob(12_000, _whole(100, 10_000_000), "Use for instance 12000.")
    persona_file: Path | None = _knob(None, Path, "Name a Markdown file, or unset it.")
    session_idle_hours: float = _knob(24.0, _positive(_MOST_HOURS), "Use for instance 24.")
    session_idle_hours_by_channel: tuple[tuple[str, float], ...] = _knob(
        (), _hours_by_channel, "Use for instance C0123456789=2,C0456789012=72."
    )
    expiry_warning_minutes: float | None = _knob(None, _positive(60 * _MOST_HOURS), "Use for instance 30, or unset it.")
    retention_days: int = _knob(14, _whole(1, 36_500), "Use for instance 14.")
    max_running_turns: int = _knob(1_000, _whole(1, 100_000), "Use for instance 1000.")
    max_running_turns_per_workspace: int = _knob(1_000, _whole(1, 100_000), "Use for instance 1000.")
    max_running_turns_per_person: int = _knob(20, _whole(1, 100_000), "Use for instance 20.")
    max_waiting_turns: int = _knob(10_000, _whole(1, 1_000_000), "Use for instance 10000.")
    max_attempts: int = _knob(3, _whole(1, 100), "Use for instance 3.")
    drain_seconds: float = _knob(20.0, _positive(3_600), "Use for instance 20.")
    health_port: int | None = _knob(None, _whole(0, 65535), "Use for instance 8080.")
    gateway_port: int | None = _knob(None, _whole(0, 65535), "Use for instance 8000.")
    gateway_prefixes: tuple[str, ...] = _knob(
        ("/v1", "/api/publicLLM"), parsers.prefixes, "Use for instance /v1,/api/publicLLM."
    )
    gateway_models: tuple[str, ...] = _knob((), parsers.models, "Name models that your backend serves.")
    gateway_system_messages: str = _knob("add", _choice("add", "refuse"), "Unset it for add.")
    gateway_wait_seconds: float = _knob(30.0, _positive(600), "Use for instance 30.")
    gateway_client_timeout_seconds: float = _knob(60.0, _positive(3_600), "Use for instance 60.")
    gateway_max_body_bytes: int = _knob(1_000_000, _whole(1_000, 100_000_000), "Use for instance 1000000.")
    gateway_max_messages: int = _knob(1_000, _whole(1, 100_000), "Use for instance 1000.")
    gateway_requests_per_minute: int = _knob(600, _whole(1, 100_000_000), "Use for instance 600.")
    gateway_tokens_per_minute: int = _knob(1_000_000, _whole(1, 999_999_999), "Use for instance 1000000.")
    gateway_origins: tuple[str, ...] = _knob((), parsers.origins, "Use for instance https://www.example.com.")
    gateway_trusted_proxies: tuple[parsers.Network, ...] = _knob((), parsers.networks, "Use for instance 127.0.0.1.")
    database_url: str = _knob(
        "sqlite:///data/attendant.db",
        _database_url,
        "Use for instance postgresql://user:password@host/name.",
        secret=True,  # it may hold a password
    )
    log_level: str = _knob("info", _choice("debug", "info", "warning", "error"), "Unset it for info.")
    log_format: str = _knob("auto", _choice("auto", "human", "json"), "Unset it for auto.")

    @classmethod
    def load(cls, environ: Mapping[str, str], env_file: Path | None = None, *, without_slack: bool = False) -> Self:
        """The settings of this environment; a variable set there wins over the same one in the `.env` file.

        `without_slack` leaves the tokens out, for what does not connect to Slack.

        Raises ConfigError for a value or a line that does not parse, and for half a Slack configuration.
        """
        given = {
            **(dotenv.read(env_file) if env_file else {}),
            **{k: v for k, v in environ.items() if v.strip()},
        }
        if without_slack:
            given = {name: value for name, value in given.items() if name not in _SLACK_SECRETS}
        values: dict[str, Any] = {}
        for field in dataclasses.fields(cls):
            text = given.get(variable(field.name), "").strip()
            if text:
                values[field.name] = _parsed(field, text)
        settings = cls(**values)
        if settings.slack_command == settings.slack_reset_command:
            raise ConfigError("SLACK_RESET_COMMAND", "is the same as SLACK_COMMAND", "Give each a name of its own.")
        if settings.warns_too_early:
            raise ConfigError(
                "EXPIRY_WARNING_MINUTES",
                "is not less than the shortest idle limit, of SESSION_IDLE_HOURS or SESSION_IDLE_HOURS_BY_CHANNEL",
                "Lower it, or unset it.",
            )
        _ = settings.mode  # a half-set configuration is an error at once
        return settings

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
    def uses_stand_in(self) -> bool:
        """Whether the stand-in model answers, because neither a key nor a backend's address is set."""
        return not self.openai_api_key and not self.openai_base_url


_SLACK_SECRETS = {"SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "SLACK_SIGNING_SECRET"}


def variable(field_name: str) -> str:
    """The environment variable of a field of Settings."""
    return field_name.upper()


def _parsed(field: dataclasses.Field[Any], text: str) -> Any:
    try:
        return field.metadata["parse"](text)
    except ValueError as error:
        raise ConfigError(variable(field.name), str(error), field.metadata["remedy"]) from error
