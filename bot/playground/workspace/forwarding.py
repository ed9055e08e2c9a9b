"""Forwarding a message: Slack attaches it to the message that passes it on.

Slack documents none of its fields; those here are of payloads that people have published.
"""

from __future__ import annotations

from bot.playground.workspace.message_json import message_json, team_of
from bot.playground.workspace.messages import Json, Message
from bot.playground.workspace.people import Channel, Person
from bot.playground.workspace.rules import require_member
from bot.playground.workspace.state import WorkspaceState
from bot.playground.workspace.workspace import Workspace


def forward(workspace: Workspace, person: Person, message: Message, channel: Channel, comment: str = "") -> Message:
    """Forward a message that the person sees into another place, with a typed comment or none."""
    require_member(person, workspace.channels[message.channel])
    return workspace.post(person, channel, comment, attachments=(_attachment(workspace, message),))


def _attachment(state: WorkspaceState, message: Message) -> Json:
    """Return the attachment that holds this message."""
    channel, whole = state.channels[message.channel], message_json(state, message)
    person = state.people.get(message.user)
    author = {"author_id": person.id, "author_subname": person.name} if person else {}
    reply = f"?thread_ts={message.thread_ts}&cid={channel.id}" if message.thread_ts else ""
    inner = {"team": team_of(state, message.user), "channel": channel.id, "ts": message.ts}
    return {
        "id": 1,
        "ts": message.ts,
        "channel_id": channel.id,
        "channel_team": state.team.id,
        "is_msg_unfurl": True,
        "is_share": True,
        **author,
        "author_name": person.real_name if person else message.username or state.app.manifest.app_name,
        "message_blocks": [{**inner, "message": {"blocks": whole.get("blocks", [])}}],
        "from_url": f"{state.team.url}archives/{channel.id}/p{message.ts.replace('.', '')}{reply}",
        "text": message.text,
        "fallback": f"[{message.ts}] {person.name if person else 'app'}: {message.text}",
        "footer": f"Posted in #{channel.name}",
        "mrkdwn_in": ["text"],
        **({"files": list(message.files)} if message.files else {}),
        **({"attachments": list(message.attachments)} if message.attachments else {}),
    }
