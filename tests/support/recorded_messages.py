"""Messages in the shapes that Slack sends, with invented words: forwards, alerts, rich text, workflows, huddles.

The fields are those of payloads that people have published, because Slack documents few of them.
"""

from __future__ import annotations

from typing import Any

TS, EARLIER = "1712345678.000200", "1712345600.000100"
LINK = "https://harbour.slack.com/archives/C2/p1712345600000100"
FILE = {"id": "F1", "name": "plan.pdf", "mimetype": "application/pdf", "size": 4096, "url_private": "https://x"}


def rich_text(*elements: dict[str, Any]) -> dict[str, Any]:
    """Return a rich_text block with one section."""
    return {"type": "rich_text", "block_id": "b", "elements": [{"type": "rich_text_section", "elements": [*elements]}]}


def said(text: str, **style: bool) -> dict[str, Any]:
    """Return a text element."""
    return {"type": "text", "text": text, **({"style": style} if style else {})}


def share(**fields: Any) -> dict[str, Any]:
    """Return the attachment of a forwarded message. The arguments replace its fields."""
    author = {"author_id": "U2", "author_name": "Ben Okafor", "author_subname": "ben", "author_link": "https://x"}
    place = {
        "id": 1,
        "ts": EARLIER,
        "channel_id": "C2",
        "channel_team": "T1",
        "from_url": LINK,
        "footer": "Posted in #it",
    }
    inner = {"team": "T1", "channel": "C2", "ts": EARLIER, "message": {"blocks": [rich_text(said("the VPN is down"))]}}
    flags = {"is_share": True, "is_msg_unfurl": True, "mrkdwn_in": ["text"]}
    words = {"text": "the VPN is down", "fallback": "[April 5th] ben: the VPN is down", "message_blocks": [inner]}
    return {**author, **place, **flags, **words, **fields}


ALERT_BLOCKS = [
    {"type": "header", "text": {"type": "plain_text", "text": "Disk full & slow"}},
    {"type": "section", "text": {"type": "mrkdwn", "text": "*web-1* is at 91%"}},
    {
        "type": "section",
        "fields": [{"type": "mrkdwn", "text": "Region: eu-1"}, {"type": "plain_text", "text": "Since: noon"}],
        "accessory": {"type": "button", "text": {"type": "plain_text", "text": "Silence"}, "action_id": "a"},
    },
    {
        "type": "context",
        "elements": [{"type": "mrkdwn", "text": "by the watchdog"}, {"type": "image", "alt_text": "logo"}],
    },
    {"type": "divider"},
    {"type": "actions", "elements": [{"type": "button", "text": {"type": "plain_text", "text": "Ack"}}]},
]
ALERT_WORDS = "Disk full & slow\n*web-1* is at 91%\nRegion: eu-1\nSince: noon\nby the watchdog\nlogo"
OLD_ALERT = {
    "fallback": "CPU alert",
    "color": "danger",
    "pretext": "A new alert",
    "author_name": "watchdog",
    "title": "CPU at 99%",
    "title_link": "https://mon.example/7",
    "text": "web-2 is <https://x.y|busy>",
    "fields": [{"title": "host", "value": "web-2", "short": True}, {"title": "load", "value": 17}],
    "footer": "watchdog",
    "ts": 1712345600,
}
OLD_ALERT_WORDS = "A new alert\nCPU at 99% (https://mon.example/7)\nweb-2 is busy (https://x.y)\nhost: web-2\nload: 17"
TABLE = {
    "type": "table",
    "rows": [
        [{"type": "raw_text", "text": "host"}, {"type": "raw_text", "text": "load"}],
        [rich_text(said("web-2", bold=True)), {"type": "raw_text", "text": "17"}],
    ],
}
LIST = {
    "type": "rich_text",
    "elements": [
        {"type": "rich_text_section", "elements": [said("Steps for "), {"type": "user", "user_id": "U2"}, said(":")]},
        {
            "type": "rich_text_list",
            "style": "ordered",
            "elements": [
                {"type": "rich_text_section", "elements": [said("open "), {"type": "link", "url": "https://x.y"}]},
                {"type": "rich_text_section", "elements": [said("press <OK>", code=True)]},
            ],
        },
        {"type": "rich_text_quote", "elements": [said("it said so")]},
        {"type": "rich_text_preformatted", "elements": [said("exit 1")]},
    ],
}
LIST_WORDS = "Steps for <@U2>:\n1. open https://x.y\n2. `press <OK>`\n> it said so\n```\nexit 1\n```"
APP = {"user": "U7", "bot_id": "B7", "app_id": "A7", "bot_profile": {"id": "B7", "name": "watchdog"}}
WORKFLOW = {"subtype": "bot_message", "user": None, "bot_id": "B8", "app_id": "A8", "username": "Onboarding"}
NEW_WORKFLOW = {"user": "U8", "bot_id": "B8", "app_id": "A8", "bot_profile": {"id": "B8", "is_workflow_bot": True}}
HUDDLE = {"subtype": "huddle_thread", "user": "USLACKBOT", "text": "A huddle started", "room": {"id": "R1"}}
CANVAS = {"id": "F2", "name": "Onboarding", "mimetype": "application/vnd.slack-docs", "filetype": "quip", "size": 9}

# Each kind of message by its name: (fields of the message, its words as plain text).
SHAPES: dict[str, tuple[dict[str, Any], str]] = {
    "plain": ({"text": "hello"}, "hello"),
    "rich text alone": ({"text": "", "blocks": [LIST]}, LIST_WORDS),
    "text and its rich text": ({"text": "hi &amp; bye", "blocks": [rich_text(said("hi & bye"))]}, "hi & bye"),
    "emoji and date": (
        {"text": "", "blocks": [rich_text({"type": "emoji", "name": "tada"}, {"type": "date", "fallback": " today"})]},
        ":tada: today",
    ),
    "blocks of an app": ({"text": "Alert!", "blocks": ALERT_BLOCKS, **APP}, ALERT_WORDS),
    "an app's text alone": ({"text": "deployed", **APP}, "deployed"),
    "old attachment": ({"text": "", "attachments": [OLD_ALERT], **APP}, OLD_ALERT_WORDS),
    "text and an attachment": ({"text": "Look:", "attachments": [{"text": "busy"}], **APP}, "Look:\nbusy"),
    "blocks in an attachment": ({"text": "", "attachments": [{"blocks": ALERT_BLOCKS}], **APP}, ALERT_WORDS),
    "fallback alone": ({"text": "", "attachments": [{"fallback": "on fire", "image_url": "x"}], **APP}, "on fire"),
    "unfurled link of an app": (
        {"text": "see", "attachments": [{"from_url": "https://x.y", "text": "page"}], **APP},
        "see",
    ),
    "table": ({"text": "fallback", "blocks": [TABLE], **APP}, "host | load\nweb-2 | 17"),
    "markdown": ({"text": "x", "blocks": [{"type": "markdown", "text": "**a** <b> | c"}], **APP}, "**a** <b> | c"),
    "image": ({"text": "", "blocks": [{"type": "image", "image_url": "x", "alt_text": "a cat"}], **APP}, "a cat"),
    "a block that is new": (
        {
            "text": "",
            "blocks": [{"type": "container", "title": {"type": "plain_text", "text": "T"}, "children": [TABLE]}],
            **APP,
        },
        "T\nhost | load\nweb-2 | 17",
    ),
    "huddle": (HUDDLE, "(A huddle took place here.)"),
    "canvas link": (
        {"text": "<https://harbour.slack.com/docs/T1/F2>"},
        "a canvas (https://harbour.slack.com/docs/T1/F2)",
    ),
    "huddle link": ({"text": "<https://app.slack.com/huddle/T1/C1>"}, "a huddle (https://app.slack.com/huddle/T1/C1)"),
    "workflow": ({"text": "<@U2> joined", **WORKFLOW}, "<@U2> joined"),
}
