"""Slack's validation of blocks (docs.slack.dev/reference/block-kit). Pure.

Rule: only the block and element types that the app uses are supported. Any other type is refused.
Each `_check` function yields the problems that it finds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from bot.playground.workspace.messages import Json

MAX_BLOCKS = 50
MAX_MARKDOWN = 12_000  # characters: of markdown_text, and of all markdown blocks of a message together
_MAX_SECTION, _MAX_HEADER, _MAX_BUTTON, _MAX_VALUE, _MAX_ID = 3_000, 150, 75, 2_000, 255
_MAX_ACTIONS, _MAX_CONTEXT, _MAX_FIELDS = 25, 10, 10


def problems(blocks: Sequence[Any]) -> list[str]:
    """Return why Slack would refuse these blocks, empty when it would accept them."""
    if len(blocks) > MAX_BLOCKS:
        return [f"no more than {MAX_BLOCKS} items allowed [json-pointer:/blocks]"]
    errors = [
        f"{problem} [json-pointer:/blocks/{index}]"
        for index, block in enumerate(blocks)
        for problem in _check_block(block)
    ]
    length = markdown_length(blocks)
    return errors + ([f"more than {MAX_MARKDOWN} characters of markdown"] if length > MAX_MARKDOWN else [])


def markdown_length(blocks: Sequence[Any]) -> int:
    """Return how many characters the markdown blocks have together, which Slack limits to MAX_MARKDOWN."""
    return sum(len(str(b.get("text", ""))) for b in blocks if isinstance(b, dict) and b.get("type") == "markdown")


def stored(blocks: Sequence[Json], new_id: Callable[[], str]) -> tuple[Json, ...]:
    """Return the blocks as Slack stores them: with an id for each block and each button."""
    return tuple({"block_id": new_id(), **_with_action_ids(block, new_id)} for block in blocks)


def buttons(blocks: Sequence[Json]) -> list[tuple[str, Json]]:
    """Return the buttons in stored blocks, each with its block's id."""
    pairs: list[tuple[str, Json]] = []
    for block in blocks:
        elements = [block["accessory"]] if "accessory" in block else block.get("elements", [])
        pairs += [(block["block_id"], element) for element in elements if element["type"] == "button"]
    return pairs


def _with_action_ids(block: Json, new_id: Callable[[], str]) -> Json:
    elements: Json = {key: _with_action_id(block[key], new_id) for key in ("accessory", "elements") if key in block}
    return {**block, **elements}


def _with_action_id(element: Any, new_id: Callable[[], str]) -> Any:
    if isinstance(element, list):
        return [_with_action_id(one, new_id) for one in element]
    return {"action_id": new_id(), **element} if element["type"] == "button" else element


def _check_block(block: Any) -> Iterator[str]:
    if not isinstance(block, dict) or block.get("type") not in _BLOCKS:
        yield "unsupported type"
        return
    if len(str(block.get("block_id", ""))) > _MAX_ID:
        yield "block_id is too long"
    yield from _BLOCKS[block["type"]](block)


def _check_section(block: Json) -> Iterator[str]:
    if "text" not in block and "fields" not in block:
        yield "missing required field: text"
    if "text" in block:
        yield from text_problems(block["text"], _MAX_SECTION)
    if len(block.get("fields", ())) > _MAX_FIELDS:
        yield "too many fields"
    if "accessory" in block:
        yield from _check_element(block["accessory"])


def _check_header(block: Json) -> Iterator[str]:
    yield from text_problems(block.get("text"), _MAX_HEADER, plain=True)


def _check_actions(block: Json) -> Iterator[str]:
    elements = block.get("elements") or []
    if not 1 <= len(elements) <= _MAX_ACTIONS:
        yield f"between 1 and {_MAX_ACTIONS} elements are needed"
    for element in elements:
        yield from _check_element(element)
    ids = [element.get("action_id") for element in elements if isinstance(element, dict)]
    if len(set(ids)) < len(ids):
        yield "action_id is used twice"


def _check_context(block: Json) -> Iterator[str]:
    elements = block.get("elements") or []
    if not 1 <= len(elements) <= _MAX_CONTEXT:
        yield f"between 1 and {_MAX_CONTEXT} elements are needed"
    for element in elements:
        yield from text_problems(element, _MAX_SECTION)


def _check_markdown(block: Json) -> Iterator[str]:
    if not isinstance(block.get("text"), str) or not block["text"]:
        yield "missing required field: text"


def _check_divider(_block: Json) -> Iterator[str]:
    return iter(())


def _check_element(element: Any) -> Iterator[str]:
    if not isinstance(element, dict) or element.get("type") != "button":
        yield "unsupported element"
        return
    yield from text_problems(element.get("text"), _MAX_BUTTON, plain=True)
    if len(str(element.get("value", ""))) > _MAX_VALUE:
        yield "value is too long"
    if len(str(element.get("action_id", ""))) > _MAX_ID:
        yield "action_id is too long"


def text_problems(text: Any, max_length: int, *, plain: bool = False) -> Iterator[str]:
    """Yield why Slack would refuse this text object of at most `max_length` characters."""
    allowed = {"plain_text"} if plain else {"plain_text", "mrkdwn"}
    if not isinstance(text, dict) or text.get("type") not in allowed or not isinstance(text.get("text"), str):
        yield "missing required text object"
    elif not 1 <= len(text["text"]) <= max_length:
        yield f"text must have 1 to {max_length} characters"


_BLOCKS: Mapping[str, Callable[[Json], Iterator[str]]] = {
    "section": _check_section,
    "header": _check_header,
    "actions": _check_actions,
    "context": _check_context,
    "markdown": _check_markdown,
    "divider": _check_divider,
}
