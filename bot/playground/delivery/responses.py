"""The app's responses to interactions, sent to a response URL or with an acknowledgement.

At most 5 responses within 30 minutes, ephemeral unless `response_type` is `in_channel`:
docs.slack.dev/interactivity/handling-user-interaction
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from bot.playground.workspace import block_kit
from bot.playground.workspace.changes import ResponseUrl
from bot.playground.workspace.interactions import RESPONSE_URL_LIFETIME
from bot.playground.workspace.messages import Json, Message
from bot.playground.workspace.workspace import Workspace

_MAX_USES = 5


class Responses:
    """Applies the app's responses to the workspace."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._uses: Counter[str] = Counter()  # by token

    def receive(self, token: str, body: Any) -> str | None:
        """Apply a response that was sent to a response URL. Return Slack's error, or None."""
        workspace = self._workspace
        url = workspace.response_urls.get(token)
        if url is None or workspace.clock() - url.at >= RESPONSE_URL_LIFETIME:
            return "expired_url"
        if self._uses[token] >= _MAX_USES:
            return "used_url"
        error = self.apply(url, body)
        if error is None:
            self._uses[token] += 1
        return error

    def apply(self, url: ResponseUrl, body: Any) -> str | None:
        """Post, replace or delete a message as the response asks. Return Slack's error, or None."""
        if not isinstance(body, dict):
            return "invalid_payload"
        if body.get("delete_original"):
            return self._delete(url)
        blocks = body.get("blocks") or []
        if not body.get("text") and not blocks:
            return "no_text"
        if block_kit.problems(blocks):
            return "invalid_blocks"
        content = {"text": body.get("text", ""), "blocks": block_kit.stored(blocks, self._workspace.new_id)}
        if body.get("replace_original"):
            return self._replace(url, content)
        self._post(url, body, content)
        return None

    def _original(self, url: ResponseUrl) -> Message | None:
        return self._workspace.transcript.find(url.channel.id, url.source.ts) if url.source else None

    def _delete(self, url: ResponseUrl) -> str | None:
        original = self._original(url)
        if original is None:
            return "message_not_found"
        self._workspace.remove(original)
        return None

    def _replace(self, url: ResponseUrl, content: Json) -> str | None:
        original = self._original(url)
        if original is None:
            return "message_not_found"
        self._workspace.change(original, format="mrkdwn", **content)
        return None

    def _post(self, url: ResponseUrl, body: Json, content: Json) -> None:
        workspace = self._workspace
        if body.get("response_type") != "in_channel":  # Slack ignores thread_ts for ephemeral responses
            workspace.show_ephemeral(url.person, url.channel, by_app=True, **content)
            return
        app = workspace.app
        workspace.add(
            Message(
                channel=url.channel.id,
                ts=workspace.new_ts(),
                user=app.user_id,
                bot_id=app.bot_id,
                thread_ts=body.get("thread_ts"),
                unfurls=body.get("unfurl_links") is not False,
                **content,
            )
        )
