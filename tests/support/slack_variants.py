"""The variants of Slack in which answers are tested, each by a name."""

from __future__ import annotations

from bot.playground.workspace.slack_variant import KIND, SlackVariant

VARIANTS = {
    "strict": SlackVariant(),
    "kind": KIND,
    "cuts_early": SlackVariant(stream_bytes=3_000),
    "refuses_long_streams": SlackVariant(long_stream="refused", stream_bytes=3_000),
    "no_blocks": SlackVariant(markdown_blocks="invalid_blocks"),
    "edit_window_closed": SlackVariant(edits="edit_window_closed"),
    "cant_update_message": SlackVariant(edits="cant_update_message"),
    "message_not_found": SlackVariant(edits="message_not_found"),
    "block_mismatch": SlackVariant(edits="block_mismatch"),
    "no_deletions": SlackVariant(deletions="compliance_exports_prevent_deletion"),
    "unreadable": SlackVariant(responses="without_text"),
    "expires_at_once": SlackVariant(stream_seconds=0),
    "user_not_found": SlackVariant(stops="user_not_found"),
}
