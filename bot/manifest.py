"""The Slack app's manifest: which scopes, events, commands and shortcuts it has. manifest.yml is the one description.

Rule: the only reader of YAML.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

COMMAND, RESET_COMMAND = "/attendant", "/reset"  # as manifest.yml names them
START_OVER = "start_over"  # the message shortcut's callback_id


@dataclass(frozen=True, slots=True)
class SlashCommand:
    """One of `features.slash_commands`."""

    command: str
    description: str
    usage_hint: str


@dataclass(frozen=True, slots=True)
class Shortcut:
    """One of `features.shortcuts`; all of ours are message shortcuts."""

    name: str
    callback_id: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """The parts of a Slack app manifest that the code has to live up to."""

    app_name: str
    bot_name: str
    scopes: frozenset[str]
    events: tuple[str, ...]
    commands: tuple[SlashCommand, ...]
    shortcuts: tuple[Shortcut, ...]
    has_home: bool  # a Home tab of its own for each person


def document(command: str = COMMAND, reset_command: str = RESET_COMMAND, url: str | None = None) -> dict[str, Any]:
    """The manifest as Slack takes it, with these command names; with `url`, for HTTP instead of Socket Mode."""
    made: dict[str, Any] = yaml.safe_load(_file().read_text(encoding="utf-8"))
    names = {COMMAND: command, RESET_COMMAND: reset_command}
    for entry in made["features"]["slash_commands"]:
        entry["command"] = names[entry["command"]]
        if url:
            entry["url"] = url
    if url:
        made["settings"]["socket_mode_enabled"] = False
        made["settings"]["event_subscriptions"]["request_url"] = url
        made["settings"]["interactivity"]["request_url"] = url
    return made


def read(made: dict[str, Any]) -> Manifest:
    """The parts of a manifest document that the code has to live up to."""
    features = made["features"]
    return Manifest(
        app_name=made["display_information"]["name"],
        bot_name=features["bot_user"]["display_name"],
        scopes=frozenset(made["oauth_config"]["scopes"]["bot"]),
        events=tuple(made["settings"]["event_subscriptions"]["bot_events"]),
        commands=tuple(
            SlashCommand(entry["command"], entry["description"], entry["usage_hint"])
            for entry in features["slash_commands"]
        ),
        shortcuts=tuple(Shortcut(entry["name"], entry["callback_id"]) for entry in features["shortcuts"]),
        has_home=features["app_home"]["home_tab_enabled"],
    )


def as_yaml(made: dict[str, Any]) -> str:
    """A manifest document as the text that is pasted into Slack's page."""
    text: str = yaml.safe_dump(made, sort_keys=False, allow_unicode=True, width=120)
    return text


def _file() -> Path:
    package = Path(__file__).parent  # a wheel carries the file inside the package, a checkout beside it
    inside = package / "manifest.yml"
    return inside if inside.exists() else package.parent / "manifest.yml"
