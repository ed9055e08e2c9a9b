"""Tests of Slack's validation of blocks."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from bot.playground.workspace import block_kit

BUTTON = {"type": "button", "action_id": "pick", "value": "1", "text": {"type": "plain_text", "text": "Pick"}}
SECTION = {"type": "section", "text": {"type": "mrkdwn", "text": "Which?"}, "accessory": BUTTON}


def test_good_blocks_are_taken() -> None:
    """The blocks that the app sends are valid."""
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
    """Blocks that exceed one of Slack's limits are refused."""
    assert block_kit.problems(blocks)


def test_stored_blocks_have_ids() -> None:
    """Every block and button without an id gets one. Given ids are kept."""
    count = itertools.count()
    without_id = {"type": "button", "text": BUTTON["text"]}
    stored = block_kit.stored([SECTION, {"type": "actions", "elements": [without_id]}], lambda: f"id{next(count)}")

    (first, named), (second, unnamed) = block_kit.buttons(stored)
    assert named["action_id"] == "pick"
    assert len({first, second, unnamed["action_id"]}) == 3
