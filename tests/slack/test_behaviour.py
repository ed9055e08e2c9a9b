"""The file that holds how Slack behaves: written, read, and ignored for any reason with one warning."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.errors import StartupError
from bot.slack.behaviour import UNKNOWN, Measurement, SlackBehaviour, load, save

NOW = datetime(2026, 12, 1, 6, 0, tzinfo=UTC)
IN_CHANNELS = SlackBehaviour(
    streams={"channel": "channel_type_not_supported"},
    statuses={"channel": "assistant.threads.setStatus"},
    stream_bytes=10_600,
    markdown_blocks="allowed",
)
IN_DMS = SlackBehaviour(streams={"direct": "allowed"}, statuses={"direct": "none"}, reactions="missing_scope")


def measured(behaviour: SlackBehaviour, workspace: str = "T1", at: datetime = NOW) -> Measurement:
    """Return a measurement."""
    return Measurement(workspace, at, "channel", behaviour, {"a reaction": "Slack takes it"})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file in a folder that does not exist yet."""
    return tmp_path / "data" / "slack-behaviour.json"


def test_a_file_that_was_written_is_read(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The bot reads what the measurement wrote, without a warning. A missing file is no warning either."""
    assert load(file, "T1", NOW) == UNKNOWN
    save(file, measured(IN_CHANNELS))
    assert load(file, "T1", NOW + timedelta(days=89)) == IN_CHANNELS
    assert caplog.records == []


def test_kinds_of_conversation_are_kept(file: Path) -> None:
    """A measurement in direct messages keeps the streams and statuses that were measured in channels."""
    save(file, measured(IN_CHANNELS))
    save(file, measured(IN_DMS))
    both = load(file, "T1", NOW)
    assert both.streams == {"channel": "channel_type_not_supported", "direct": "allowed"}
    assert both.statuses == {"channel": "assistant.threads.setStatus", "direct": "none"}

    save(file, measured(IN_DMS, "T2"))
    assert load(file, "T2", NOW) == IN_DMS


def document(**changes: Any) -> str:
    """Return a file's content with these changes."""
    return json.dumps(measured(IN_CHANNELS).document() | changes)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "it is not JSON"),
        ("[" * 50_000, "it is not JSON"),
        ("\ud800", "it is not JSON"),
        ("[]", "it is of another version"),
        (document(version=2), "it is of another version"),
        (document(workspace="T2"), "it was measured in another workspace"),
        (document(measured_at="2026-08-01T00:00:00+00:00"), "it is older than 90 days"),
        (document(measured_at="2026-12-01T00:00:00"), "it does not say when it was measured"),
        (document(measured_at=7), "it does not say when it was measured"),
        (document(behaviour=None), "it has no behaviour"),
        (document(behaviour={"stream_bytes": "many", "edits": 3}), "stream_bytes, edits cannot be read"),
        (document(behaviour={"streams": {"channel": ["x"]}}), "streams cannot be read"),
        (document(behaviour={"edits": "a sentence of somebody"}), "edits cannot be read"),
        (document(about="x" * 100_000), "it is too large"),
    ],
)
def test_a_file_that_does_not_count_is_one_warning(
    content: str, reason: str, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A broken, old or foreign file never stops the bot. The warning says why it is ignored."""
    file.parent.mkdir()
    file.write_bytes(content.encode(errors="surrogatepass"))
    assert load(file, "T1", NOW) == UNKNOWN
    [line] = caplog.records
    assert (line.levelno, line.getMessage()) == (logging.WARNING, "slack_behaviour_ignored")
    assert str(vars(line)["error"]).startswith(reason)
    assert "somebody" not in str(vars(line)["error"])


def test_a_folder_in_its_place_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A file that the system does not let the bot read is a warning, too. Writing it is an error with its remedy."""
    assert load(tmp_path, "T1", NOW) == UNKNOWN
    assert [line.getMessage() for line in caplog.records] == ["slack_behaviour_ignored"]
    with pytest.raises(StartupError, match=r"SLACK_BEHAVIOUR_FILE .* cannot be written"):
        save(tmp_path, measured(IN_CHANNELS))


def test_what_a_later_version_adds_is_left_out(file: Path) -> None:
    """Names that this version does not know are no reason to ignore the file."""
    file.parent.mkdir()
    file.write_text(document(behaviour={"edits": "allowed", "carousels": ["x"]}), encoding="utf-8")
    assert load(file, "T1", NOW) == SlackBehaviour(edits="allowed")


@pytest.mark.parametrize(
    ("behaviour", "method", "direct", "refused"),
    [
        (IN_CHANNELS, "chat.startStream", False, True),
        (IN_CHANNELS, "chat.startStream", True, False),
        (IN_CHANNELS, "agents.sessions.setStatus", False, True),
        (IN_CHANNELS, "assistant.threads.setStatus", False, False),
        (IN_DMS, "assistant.threads.setStatus", True, True),
        (IN_DMS, "reactions.add", True, True),
        (IN_DMS, "chat.postMessage", True, False),
        (SlackBehaviour(streams={"channel": "allowed"}, stops="user_not_found"), "chat.startStream", False, True),
        (UNKNOWN, "chat.startStream", False, False),
        (UNKNOWN, "reactions.add", False, False),
    ],
)
def test_known_refusals(behaviour: SlackBehaviour, method: str, *, direct: bool, refused: bool) -> None:
    """A method counts as refused only where that is known."""
    assert behaviour.refuses(method, direct=direct) == refused
