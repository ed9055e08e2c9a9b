"""auth.test, users.info, conversations.info, .members, .history, .replies (docs.slack.dev/reference/methods)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from bot.playground.web_api.arguments import Args
from bot.playground.web_api.errors import MissingScopeError, SlackError
from bot.playground.web_api.methods import Method, known_channel
from bot.playground.workspace.message_json import message_json, with_replies
from bot.playground.workspace.messages import Json
from bot.playground.workspace.people import Channel, Person
from bot.playground.workspace.workspace import Workspace

_MAX_PAGE = 1_000
_HISTORY_SCOPE = {"channel": "channels:history", "group": "groups:history", "im": "im:history", "mpim": "mpim:history"}
_READ_SCOPE = {"channel": "channels:read", "group": "groups:read", "im": "im:read", "mpim": "mpim:read"}


def _auth_test(workspace: Workspace, _args: Args) -> Json:
    app, team = workspace.app, workspace.team
    return {
        "url": team.url,
        "team": team.name,
        "user": app.manifest.bot_name,
        "team_id": team.id,
        "user_id": app.user_id,
        "bot_id": app.bot_id,
        "is_enterprise_install": app.is_org_wide,
    }


def _user(workspace: Workspace, args: Args) -> Json:
    user_id, app = args.text("user"), workspace.app
    if user_id == app.user_id:
        bot = Person(app.user_id, app.manifest.bot_name, app.manifest.app_name, workspace.team.id)
        return {"user": {**_person_json(workspace, bot), "is_bot": True}}
    if user_id not in workspace.people:
        raise SlackError("user_not_found")
    person = workspace.people[user_id]
    locale = {"locale": person.locale} if args.flag("include_locale") else {}
    return {"user": {**_person_json(workspace, person), **locale}}


def _person_json(workspace: Workspace, person: Person) -> Json:
    profile = {"real_name": person.real_name, "display_name": person.name, "title": person.title, "team": person.team}
    return {
        "id": person.id,
        "team_id": person.team,
        "name": person.name,
        "real_name": person.real_name,
        "color": person.color,
        "profile": profile,
        **_zone(person, workspace.clock()),
        "deleted": person.is_deactivated,
        "is_bot": False,
        "is_restricted": person.is_guest,
        "is_stranger": person.team != workspace.team.id,
    }


def _bot(workspace: Workspace, args: Args) -> Json:
    written = [message for channel in workspace.channels for message in workspace.transcript.of_channel(channel)]
    names = {message.bot_id: message.username for message in written if message.bot_id and message.username}
    if (bot_id := args.text("bot")) not in names:
        raise SlackError("bot_not_found")
    return {"bot": {"id": bot_id, "deleted": False, "name": names[bot_id], "icons": {}}}


def _group_members(workspace: Workspace, args: Args) -> Json:
    if (members := workspace.user_groups.get(args.text("usergroup"))) is None:
        raise SlackError("no_such_subteam")
    return {"users": sorted(members)}


def _zone(person: Person, now: datetime) -> Json:
    try:
        local = now.astimezone(ZoneInfo(person.time_zone))
    except ZoneInfoNotFoundError:  # the machine has no time zone database
        local = now
    offset = local.utcoffset() or timedelta()
    return {"tz": person.time_zone, "tz_label": local.tzname(), "tz_offset": int(offset.total_seconds())}


def _channel(workspace: Workspace, args: Args) -> Json:
    channel = known_channel(workspace, args.text("channel"))
    _require_scope(workspace, _READ_SCOPE[channel.slack_type])
    return {
        "channel": {
            "id": channel.id,
            "name": channel.name,
            "is_channel": channel.kind == "channel",
            "is_group": channel.kind == "private",
            "is_im": channel.kind == "im",
            "is_mpim": channel.kind == "mpim",
            "is_private": channel.kind != "channel",
            "is_archived": channel.archived,
            "is_member": workspace.app.user_id in channel.members,
            "is_ext_shared": channel.shared,
            "topic": {"value": channel.topic, "creator": "", "last_set": 0},
        }
    }


def _members(workspace: Workspace, args: Args) -> Json:
    channel = known_channel(workspace, args.text("channel"))
    _require_scope(workspace, _READ_SCOPE[channel.slack_type])
    members, (start, size) = sorted(channel.members), _page(args)
    next_cursor = f"next:{start + size}" if start + size < len(members) else ""
    return {"members": members[start : start + size], "response_metadata": {"next_cursor": next_cursor}}


def _replies(workspace: Workspace, args: Args) -> Json:
    channel = known_channel(workspace, args.text("channel"))
    _require_scope(workspace, _HISTORY_SCOPE[channel.slack_type])
    if workspace.app.user_id not in channel.members:
        raise SlackError("not_in_channel")
    root, *replies = _thread_json(workspace, channel, args)
    messages = [root, *_between(replies, args)]  # Slack ignores `oldest` for the root
    start, size = _page(args)
    page, has_more = messages[start : start + size], start + size < len(messages)
    next_cursor = {"response_metadata": {"next_cursor": f"next:{start + size}"}} if has_more else {}
    return {"messages": page, "has_more": has_more, **next_cursor}


def _history(workspace: Workspace, args: Args) -> Json:
    channel = known_channel(workspace, args.text("channel"))
    _require_scope(workspace, _HISTORY_SCOPE[channel.slack_type])
    if workspace.app.user_id not in channel.members:
        raise SlackError("not_in_channel")
    metadata = bool(args.flag("include_all_metadata"))
    top = [each for each in workspace.transcript.of_channel(channel.id) if not each.only_for]
    roots = [each for each in top if each.thread_ts is None or each.subtype == "thread_broadcast"]
    messages = [message_json(workspace, each, with_metadata=metadata) | with_replies(workspace, each) for each in roots]
    newest_first = _between(messages, args)[::-1]
    start, size = _page(args)
    page, has_more = newest_first[start : start + size], start + size < len(newest_first)
    next_cursor = {"response_metadata": {"next_cursor": f"next:{start + size}"}} if has_more else {}
    return {"messages": page, "has_more": has_more, **next_cursor}


def _thread_json(workspace: Workspace, channel: Channel, args: Args) -> list[Json]:
    message = workspace.transcript.find(channel.id, args.text("ts"))
    if message is None or message.only_for:
        raise SlackError("thread_not_found")
    thread = workspace.thread(channel, message.root)
    metadata = bool(args.flag("include_all_metadata"))
    return [
        message_json(workspace, message, with_metadata=metadata) | with_replies(workspace, message)
        for message in thread
    ]


def _between(messages: list[Json], args: Args) -> list[Json]:
    oldest, latest, inclusive = args.text("oldest"), args.text("latest"), args.flag("inclusive")
    bounds = {oldest, latest} if inclusive else set()
    return [
        message
        for message in messages
        if message["ts"] in bounds or (oldest < message["ts"] and (not latest or message["ts"] < latest))
    ]


def _page(args: Args) -> tuple[int, int]:
    size, cursor = args.number("limit", _MAX_PAGE), args.text("cursor")
    start = cursor.removeprefix("next:") or "0"
    if not start.isdigit():
        raise SlackError("invalid_cursor")
    return int(start), max(1, min(size, _MAX_PAGE))


def _require_scope(workspace: Workspace, scope: str) -> None:
    if scope not in workspace.app.scopes:
        raise MissingScopeError(workspace.app, scope)


METHODS: Mapping[str, Method] = {
    "auth.test": Method(run=_auth_test),
    "users.info": Method(run=_user, required=("user",), scope="users:read"),
    "usergroups.users.list": Method(run=_group_members, required=("usergroup",), scope="usergroups:read"),
    "bots.info": Method(run=_bot, scope="users:read"),
    "conversations.info": Method(run=_channel, required=("channel",)),
    "conversations.members": Method(run=_members, required=("channel",)),
    "conversations.history": Method(run=_history, required=("channel",)),
    "conversations.replies": Method(run=_replies, required=("channel", "ts")),
}
