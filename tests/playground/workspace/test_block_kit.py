"""What Slack checks of blocks."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from bot.playground.workspace import block_kit

BUTTON = {"type": "button", "action_id": "pick", "value": "1", "text": {"type": "plain_text", "text": "Pick"}}
SECTION = {"type": "section", "text": {"type": "mrkdwn", "text": "Which?"}, "accessory": BUTTON}


def test_good_blocks_are_taken() -> None:
    """A list such as the app shows has no problems."""
    blocks = [SECTION, {"type": "actions", "elements": [BUTTON]}, {"type": "divider"}]

    assert block_kit.problems(blocks) == []


@pytest.mark.parametrize(
    "blocks",
    [
        [SECTION] * 51,
        [{"type": "surprise"}],
        [{"type": "section"}],
        [{"type": "section", "text": {"type": "mrkdwn", "text": "x" * 3_001}}],
        [{"type": "section", "text": {"type": "mrkdwn", "text": ""}}],
        [{"type": "header", "text": {"type": "mrkdwn", "text": "no"}}],
        [{"type": "actions", "elements": []}],
        [{"type": "actions", "elements": [BUTTON, BUTTON]}],
        [{"type": "actions", "elements": [BUTTON | {"value": "x" * 2_001}]}],
        [{"type": "actions", "elements": [BUTTON | {"text": {"type": "plain_text", "text": "x" * 76}}]}],
        [{"type": "context", "elements": [{"type": "mrkdwn", "text": "x"}] * 11}],
        [{"type": "markdown", "text": "x" * 6_001}] * 2,
    ],
)
def test_bad_blocks_are_refused(blocks: list[Any]) -> None:
    """Each of Slack's limits is a problem when it is passed."""
    assert block_kit.problems(blocks)


def test_stored_blocks_have_ids() -> None:
    """Slack gives an id to every block and button that came without one, and keeps those that had one."""
    count = itertools.count()
    nameless = {"type": "button", "text": BUTTON["text"]}
    kept = block_kit.stored([SECTION, {"type": "actions", "elements": [nameless]}], lambda: f"id{next(count)}")

    (first, named), (second, unnamed) = block_kit.buttons(kept)
    assert named["action_id"] == "pick"
    assert len({first, second, unnamed["action_id"]}) == 3
