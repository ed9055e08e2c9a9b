"""How Slack behaves in one workspace, as `attendant doctor --live` measured it, and the file that holds it.

Rule: a file that is missing, broken, old or of another workspace counts as none. Then the bot learns from refusals. The
file holds no secrets, and nothing of what people wrote.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from bot.errors import StartupError

ALLOWED = "allowed"
DIRECT, GROUP_DIRECT, CHANNEL, SHARED = "direct", "group_direct", "channel", "shared"  # kinds of conversation

log = logging.getLogger(__name__)

_VERSION = 1
_MAX_AGE = timedelta(days=90)  # Slack changes
_MAX_BYTES = 100_000
_WORD = re.compile(r"[A-Za-z0-9_.]{1,100}")
_ABOUT = (
    "How Slack behaves in this workspace, measured by `attendant doctor --live`. It holds no secrets and no messages."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SlackBehaviour:
    """The measured behaviour. None: not known. An error code: Slack refused the call with it."""

    streams: Mapping[str, str] = field(default_factory=dict)  # chat.startStream, by the kind of conversation
    statuses: Mapping[str, str] = field(default_factory=dict)  # the method that shows a status, or `none`, by the kind
    appends: str | None = None  # chat.appendStream
    stops: str | None = None  # chat.stopStream
    long_stream: str | None = None  # `allowed`, or text beyond stream_bytes is `cut` in silence or `refused`
    stream_bytes: int | None = None  # of UTF-8 that surely stand in a streamed message
    streamed_update: str | None = None  # `shown` or `emptied`: chat.update with markdown_text after a stream
    markdown_text_tables: str | None = None  # `raw` or `rendered`: tables in the markdown_text of a post
    markdown_blocks: str | None = None
    edits: str | None = None  # chat.update
    deletions: str | None = None  # chat.delete
    responses: str | None = None  # `with_text` or `without_text`: the message in a response
    reactions: str | None = None  # reactions.add
    feedback_buttons: str | None = None  # in context_actions
    uploads: str | None = None

    def refuses(self, method: str, *, direct: bool) -> bool:
        """Return whether Slack is known to refuse this method in direct messages, or in channels.

        A stream that can only be started, and a status beside a better one, count as refused.
        """
        kind = DIRECT if direct else CHANNEL
        match method:
            case "chat.startStream":
                outcomes = (self.streams.get(kind), self.appends, self.stops)
                return any(outcome not in (None, ALLOWED) for outcome in outcomes)
            case "agents.sessions.setStatus" | "assistant.threads.setStatus":
                return self.statuses.get(kind, method) != method
            case "reactions.add":
                return self.reactions not in (None, ALLOWED)
            case _:
                return False


UNKNOWN = SlackBehaviour()


@dataclass(frozen=True, slots=True)
class Measurement:
    """A measurement in one workspace. `findings` are a sentence for each probe, by its name."""

    workspace: str
    measured_at: datetime
    kind: str  # of conversation, in which it was measured
    behaviour: SlackBehaviour
    findings: Mapping[str, str]

    def document(self) -> dict[str, Any]:
        """Return the file's content."""
        known = {name: value for name, value in dataclasses.asdict(self.behaviour).items() if value is not None}
        return {
            "about": _ABOUT,
            "version": _VERSION,
            "workspace": self.workspace,
            "measured_at": self.measured_at.isoformat(timespec="seconds"),
            "measured_in": self.kind,
            "behaviour": known,
            "findings": dict(self.findings),
        }


def save(path: Path, measurement: Measurement) -> Measurement:
    """Write the file, and return what it holds. It keeps the kinds of conversation that were measured before.

    Raises StartupError when the file cannot be written.
    """
    try:
        before = _parsed(path, measurement.workspace, measurement.measured_at)
    except (OSError, ValueError):
        before = UNKNOWN
    measured = measurement.behaviour
    streams, statuses = {**before.streams, **measured.streams}, {**before.statuses, **measured.statuses}
    whole = dataclasses.replace(
        measurement, behaviour=dataclasses.replace(measured, streams=streams, statuses=statuses)
    )
    draft = path.with_name(f"{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(json.dumps(whole.document(), ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        raise StartupError(
            f"SLACK_BEHAVIOUR_FILE {path} cannot be written ({error.strerror}). Name a file in a folder of the bot's."
        ) from None
    return whole


def load(path: Path, workspace: str, now: datetime) -> SlackBehaviour:
    """Return the behaviour that the file holds of this workspace. Any reason against the file is one warning."""
    try:
        return _parsed(path, workspace, now)
    except FileNotFoundError:
        return UNKNOWN
    except OSError as error:
        reason = error.strerror or type(error).__name__
    except ValueError as error:
        reason = str(error)
    log.warning("slack_behaviour_ignored", extra={"file": str(path), "error": reason})
    return UNKNOWN


def _parsed(path: Path, workspace: str, now: datetime) -> SlackBehaviour:
    """Parse the file. Raises OSError, or ValueError with the reason why the file does not count."""
    if path.stat().st_size > _MAX_BYTES:
        raise ValueError("it is too large")
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        raise ValueError("it is not JSON") from None
    if not isinstance(document, dict) or document.get("version") != _VERSION:
        raise ValueError("it is of another version: run attendant doctor --live again")
    if document.get("workspace") != workspace:
        raise ValueError("it was measured in another workspace")
    if now - _moment(document.get("measured_at")) > _MAX_AGE:
        raise ValueError(f"it is older than {_MAX_AGE.days} days: run attendant doctor --live again")
    return _behaviour(document.get("behaviour"))


def _moment(text: object) -> datetime:
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        moment = datetime.min  # noqa: DTZ901 - has no time zone, as is refused below
    if moment.tzinfo is None:
        raise ValueError("it does not say when it was measured")
    return moment


def _behaviour(values: object) -> SlackBehaviour:
    """Return the behaviour. Names that this version does not know are left out."""
    if not isinstance(values, dict):
        raise ValueError("it has no behaviour")  # noqa: TRY004 - every reason is a ValueError
    names = {each.name for each in dataclasses.fields(SlackBehaviour)}
    known = {name: value for name, value in values.items() if name in names}
    wrong = [name for name, value in known.items() if not _is_valid(name, value)]
    if wrong:
        raise ValueError(f"{', '.join(wrong)} cannot be read")
    return SlackBehaviour(**known)


def _is_valid(name: str, value: object) -> bool:
    if name == "stream_bytes":
        return type(value) is int and value >= 0
    if name in ("streams", "statuses"):
        return isinstance(value, dict) and all(_is_word(each) for pair in value.items() for each in pair)
    return _is_word(value)


def _is_word(value: object) -> bool:
    return isinstance(value, str) and _WORD.fullmatch(value) is not None
