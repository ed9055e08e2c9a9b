"""The manifest: one description of the Slack app, for Socket Mode and for HTTP, with names that can be set."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from bot import manifest

URL = "https://bot.example.org/slack/events"


def test_what_the_code_must_live_up_to_is_read() -> None:
    """Names, scopes, events, commands and shortcuts come from the file."""
    read = manifest.read(manifest.document())

    assert (read.app_name, read.bot_name) == ("Attendant", "attendant")
    assert [command.command for command in read.commands] == [manifest.COMMAND, manifest.RESET_COMMAND]
    assert [shortcut.callback_id for shortcut in read.shortcuts] == [manifest.START_OVER]
    assert "app_mention" in read.events
    assert "chat:write" in read.scopes


def test_commands_can_be_renamed() -> None:
    """The names are a setting; the rest of each command stays."""
    made = manifest.document("/otto", "/again")
    ours, renamed = manifest.read(manifest.document()).commands, manifest.read(made).commands

    assert [command.command for command in renamed] == ["/otto", "/again"]
    assert [command.description for command in renamed] == [command.description for command in ours]


def test_with_a_url_it_is_for_http() -> None:
    """Commands, events and buttons all go to the address, and Socket Mode is off."""
    made = manifest.document(url=URL)
    settings = made["settings"]

    assert settings["socket_mode_enabled"] is False
    assert settings["event_subscriptions"]["request_url"] == settings["interactivity"]["request_url"] == URL
    assert {command["url"] for command in made["features"]["slash_commands"]} == {URL}


def test_without_a_url_it_is_for_socket_mode() -> None:
    """No address is needed, and none is given."""
    made = manifest.document()

    assert made["settings"]["socket_mode_enabled"] is True
    assert "url" not in repr(made)


@pytest.mark.parametrize("made", [manifest.document(), manifest.document("/otto", "/again", URL)], ids=["file", "http"])
def test_the_text_to_paste_is_the_document(made: dict[str, Any]) -> None:
    """What is printed reads back as the same manifest."""
    assert yaml.safe_load(manifest.as_yaml(made)) == made


def test_slacks_limits_hold() -> None:
    """The lengths that Slack's page would refuse (docs.slack.dev: reference/app-manifest)."""
    made = manifest.document()
    shown, features = made["display_information"], made["features"]

    assert len(shown["name"]) <= 35
    assert len(shown["description"]) <= 140
    assert re.fullmatch(r"#[0-9a-f]{6}", shown["background_color"])
    assert all(len(shortcut["name"]) <= 24 for shortcut in features["shortcuts"])
    assert all(len(command["usage_hint"]) <= 1000 for command in features["slash_commands"])


def test_a_document_is_made_anew_each_time() -> None:
    """Whoever changes one does not change the next."""
    manifest.document()["features"].clear()

    assert manifest.document()["features"]
