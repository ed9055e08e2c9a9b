"""The manifest of the Slack app: its scopes, events, slash commands and shortcuts. manifest.yml is the only source.

Rule: no other file reads YAML.
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
    """One of `features.shortcuts`. All of them are message shortcuts."""

    name: str
    callback_id: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """The parts of a manifest that must agree with the code."""

    app_name: str
    bot_name: str
    scopes: frozenset[str]
    optional_scopes: frozenset[str]  # those among them that the bot can do without
    events: tuple[str, ...]
    commands: tuple[SlashCommand, ...]
    shortcuts: tuple[Shortcut, ...]
    has_home: bool  # each person has a Home tab


def document(command: str = COMMAND, reset_command: str = RESET_COMMAND, url: str | None = None) -> dict[str, Any]:
    """Return the manifest as a document. `url` is the Request URL of HTTP mode; without it, it is for Socket Mode."""
    manifest: dict[str, Any] = yaml.safe_load(_file().read_text(encoding="utf-8"))
    names = {COMMAND: command, RESET_COMMAND: reset_command}
    for entry in manifest["features"]["slash_commands"]:
        entry["command"] = names[entry["command"]]
        if url:
            entry["url"] = url
    if url:
        manifest["settings"]["socket_mode_enabled"] = False
        manifest["settings"]["event_subscriptions"]["request_url"] = url
        manifest["settings"]["interactivity"]["request_url"] = url
    return manifest


def read(manifest: dict[str, Any]) -> Manifest:
    """Return the parts of a document that must agree with the code."""
    features = manifest["features"]
    return Manifest(
        app_name=manifest["display_information"]["name"],
        bot_name=features["bot_user"]["display_name"],
        scopes=frozenset(manifest["oauth_config"]["scopes"]["bot"]),
        optional_scopes=frozenset(manifest["oauth_config"]["scopes"].get("bot_optional", ())),
        events=tuple(manifest["settings"]["event_subscriptions"]["bot_events"]),
        commands=tuple(
            SlashCommand(entry["command"], entry["description"], entry["usage_hint"])
            for entry in features["slash_commands"]
        ),
        shortcuts=tuple(Shortcut(entry["name"], entry["callback_id"]) for entry in features["shortcuts"]),
        has_home=features["app_home"]["home_tab_enabled"],
    )


def as_yaml(manifest: dict[str, Any]) -> str:
    """Return a document as YAML, to be pasted into Slack's page."""
    text: str = yaml.safe_dump(manifest, sort_keys=False, allow_unicode=True, width=120)
    return text


def _file() -> Path:
    package = Path(__file__).parent  # the file is inside the package in a wheel, and beside it in a checkout
    inside = package / "manifest.yml"
    return inside if inside.exists() else package.parent / "manifest.yml"
