"""What the app answers to a gesture: on its response URL, or with the acknowledgement itself.

At most 5 answers in 30 minutes, ephemeral unless asked otherwise:
docs.slack.dev/interactivity/handling-user-interaction
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from bot.playground.workspace import block_kit, view_kit
from bot.playground.workspace.changes import ResponseUrl, ViewSubmitted
from bot.playground.workspace.messages import Json, Message
from bot.playground.workspace.workspace import RESPONSE_URL_LIFETIME, Workspace

NO_CONNECTION = "We had some trouble connecting. Try again?"  # as Slack says it below a modal

_USES = 5


class Responses:
    """Takes the app's answers to gestures into the workspace."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._used: Counter[str] = Counter()

    def use(self, token: str, body: Any) -> str | None:
        """An answer on a response URL. Returns Slack's error, or None when it was taken."""
        workspace = self._workspace
        url = workspace.response_urls.get(token)
        if url is None or workspace.clock() - url.at >= RESPONSE_URL_LIFETIME:
            return "expired_url"
        if self._used[token] >= _USES:
            return "used_url"
        refused = self.answer(url, body)
        if refused is None:
            self._used[token] += 1
        return refused

    def answer(self, url: ResponseUrl, body: Any) -> str | None:
        """Do what an answer asks for. Returns Slack's error, or None when it was done."""
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
        self._say(url, body, content)
        return None

    def conclude(self, submitted: ViewSubmitted, answer: Any) -> None:
        """Close a modal that was submitted, unless the answer has errors for its inputs.

        docs.slack.dev/surfaces/modals: of the actions that an answer may ask for, `errors` and `clear` are known here.
        """
        surfaces, asked = self._workspace.surfaces, answer if isinstance(answer, dict) else {}
        blocks = {block["block_id"] for block in view_kit.inputs(submitted.view.body)}
        match asked.get("response_action"):
            case None | "clear":
                surfaces.close(submitted.person)
            case "errors" if asked.get("errors") and blocks.issuperset(asked["errors"]):
                surfaces.complain(submitted.person, asked["errors"])
            case _:
                surfaces.complain(submitted.person, {"": NO_CONNECTION})

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

    def _say(self, url: ResponseUrl, body: Json, content: Json) -> None:
        workspace = self._workspace
        if body.get("response_type") != "in_channel":  # only answers in the channel may go into a thread
            workspace.show(url.person, url.channel, by_app=True, **content)
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
