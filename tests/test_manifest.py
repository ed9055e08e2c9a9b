"""bot.manifest: the documents for Socket Mode and for HTTP, and their parts."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from bot import manifest

URL = "https://bot.example.org/slack/events"


def test_the_parts_that_must_agree_with_the_code() -> None:
    """Names, scopes, events, commands and shortcuts are read from the file."""
    read = manifest.read(manifest.document())

    assert (read.app_name, read.bot_name) == ("Attendant", "attendant")
    assert [command.command for command in read.commands] == [manifest.COMMAND, manifest.RESET_COMMAND]
    assert [shortcut.callback_id for shortcut in read.shortcuts] == [manifest.START_OVER]
    assert "app_mention" in read.events
    assert "chat:write" in read.scopes


def test_commands_can_be_renamed() -> None:
    """Renamed commands keep their descriptions."""
    document = manifest.document("/otto", "/again")
    ours, renamed = manifest.read(manifest.document()).commands, manifest.read(document).commands

    assert [command.command for command in renamed] == ["/otto", "/again"]
    assert [command.description for command in renamed] == [command.description for command in ours]


def test_a_manifest_with_a_url_is_for_http() -> None:
    """Commands, events and interactions go to the URL, and Socket Mode is off."""
    document = manifest.document(url=URL)
    settings = document["settings"]

    assert settings["socket_mode_enabled"] is False
    assert settings["event_subscriptions"]["request_url"] == settings["interactivity"]["request_url"] == URL
    assert {command["url"] for command in document["features"]["slash_commands"]} == {URL}


def test_a_manifest_without_a_url_is_for_socket_mode() -> None:
    """The document has no URL."""
    document = manifest.document()

    assert document["settings"]["socket_mode_enabled"] is True
    assert "url" not in repr(document)


@pytest.mark.parametrize(
    "document", [manifest.document(), manifest.document("/otto", "/again", URL)], ids=["file", "http"]
)
def test_the_yaml_is_the_document(document: dict[str, Any]) -> None:
    """The YAML parses to the same document."""
    assert yaml.safe_load(manifest.as_yaml(document)) == document


def test_slacks_limits_hold() -> None:
    """The lengths of docs.slack.dev/reference/app-manifest hold."""
    document = manifest.document()
    shown, features = document["display_information"], document["features"]

    assert len(shown["name"]) <= 35
    assert len(shown["description"]) <= 140
    assert re.fullmatch(r"#[0-9a-f]{6}", shown["background_color"])
    assert all(len(shortcut["name"]) <= 24 for shortcut in features["shortcuts"])
    assert all(len(command["usage_hint"]) <= 1000 for command in features["slash_commands"])


def test_each_document_is_new() -> None:
    """A change to one document does not change the next."""
    manifest.document()["features"].clear()

    assert manifest.document()["features"]
