"""Slack's validation of views and of the input that a person submits in them. Pure.

Facts: docs.slack.dev/reference/views, reference/block-kit/blocks/input-block and the elements' own pages.
Rule: only the elements that the app uses are supported. Any other element is refused.
Each `_check` function yields the problems that it finds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from bot.playground.workspace import block_kit
from bot.playground.workspace.messages import Json

_MAX_BLOCKS, _MAX_TITLE, _MAX_METADATA, _MAX_ID = 100, 24, 3_000, 255
_MAX_LABEL, _MAX_PLACEHOLDER, _MAX_INPUT = 2_000, 150, 3_000
_MAX_OPTIONS, _MAX_OPTION, _MAX_OPTION_VALUE = 100, 75, 150


def problems(view: Json, kind: str) -> list[str]:
    """Return why Slack would refuse this as a view of this kind, empty when it would accept it."""
    blocks = view.get("blocks")
    if view.get("type") != kind or not isinstance(blocks, list):
        return [f"must be a {kind} with blocks [json-pointer:/view]"]
    input_blocks = [block for block in blocks if _is_input(block)]
    errors = [
        *_check_frame(view, input_blocks),
        *(problem for block in input_blocks for problem in _check_input(block)),
    ]
    others = [block for block in blocks if not _is_input(block)]
    # A view may have more blocks than a message, so its blocks are checked in parts of a message's size.
    parts = [others[at : at + block_kit.MAX_BLOCKS] for at in range(0, len(others), block_kit.MAX_BLOCKS)]
    return errors + [problem for part in parts for problem in block_kit.problems(part)]


def stored(view: Json, new_id: Callable[[], str]) -> Json:
    """Return the view as Slack stores it: with an id for each block, button and input."""
    blocks = [_with_id(block, new_id) if _is_input(block) else block for block in view["blocks"]]
    return {**view, "blocks": list(block_kit.stored(blocks, new_id))}


def inputs(view: Json) -> list[Json]:
    """Return the input blocks of a stored view."""
    return [block for block in view["blocks"] if _is_input(block)]


def input_errors(view: Json, given: Mapping[str, str]) -> dict[str, str]:
    """Return Slack's own errors for an input, by block: missing or too long. Slack then sends no submission."""
    errors = {}
    for block in inputs(view):
        value, max_length = _given(block, given), block["element"].get("max_length", _MAX_INPUT)
        if not value and not block.get("optional"):
            errors[block["block_id"]] = "Please complete this required field."
        if len(value) > max_length and block["element"]["type"] == "plain_text_input":
            errors[block["block_id"]] = f"Must be less than {max_length + 1} characters."
    return errors


def values(view: Json, given: Mapping[str, str]) -> Json:
    """Return the `state.values` of a submission. `given` maps block ids to input; others keep their initial value."""
    return {
        block["block_id"]: {block["element"]["action_id"]: _value(block["element"], _given(block, given))}
        for block in inputs(view)
    }


def _given(block: Json, given: Mapping[str, str]) -> str:
    element = block["element"]
    initial = element.get("initial_value") or element.get("initial_option", {}).get("value", "")
    return given.get(block["block_id"], initial)


def _value(element: Json, value: str) -> Json:
    if element["type"] == "plain_text_input":
        return {"type": element["type"], "value": value or None}
    chosen = next((option for option in element["options"] if option["value"] == value), None)
    return {"type": element["type"], "selected_option": chosen}


def _is_input(block: Any) -> bool:
    return isinstance(block, dict) and block.get("type") == "input"


def _with_id(block: Json, new_id: Callable[[], str]) -> Json:
    return {**block, "element": {"action_id": new_id(), **block["element"]}}


def _check_frame(view: Json, input_blocks: Sequence[Json]) -> Iterator[str]:
    if not 1 <= len(view["blocks"]) <= _MAX_BLOCKS:
        yield f"between 1 and {_MAX_BLOCKS} blocks are needed [json-pointer:/view/blocks]"
    if len(str(view.get("private_metadata", ""))) > _MAX_METADATA or len(str(view.get("callback_id", ""))) > _MAX_ID:
        yield "private_metadata or callback_id is too long [json-pointer:/view]"
    if view["type"] == "modal":
        yield from block_kit.text_problems(view.get("title"), _MAX_TITLE, plain=True)
        for button in ("submit", "close"):
            if button in view:
                yield from block_kit.text_problems(view[button], _MAX_TITLE, plain=True)
        if input_blocks and "submit" not in view:
            yield "a view with inputs needs submit [json-pointer:/view/submit]"
    ids = [block.get("block_id") for block in view["blocks"] if isinstance(block, dict) and "block_id" in block]
    if len(set(ids)) < len(ids):
        yield "block_id is used twice [json-pointer:/view/blocks]"


def _check_input(block: Json) -> Iterator[str]:
    yield from block_kit.text_problems(block.get("label"), _MAX_LABEL, plain=True)
    if "hint" in block:
        yield from block_kit.text_problems(block["hint"], _MAX_LABEL, plain=True)
    element = block.get("element")
    if not isinstance(element, dict) or element.get("type") not in _ELEMENTS:
        yield "unsupported element"
        return
    if "placeholder" in element:
        yield from block_kit.text_problems(element["placeholder"], _MAX_PLACEHOLDER, plain=True)
    yield from _ELEMENTS[element["type"]](element)


def _check_text_input(element: Json) -> Iterator[str]:
    max_length, initial = element.get("max_length", _MAX_INPUT), element.get("initial_value", "")
    if (
        not isinstance(initial, str)
        or not isinstance(max_length, int)
        or not 1 <= max_length <= _MAX_INPUT
        or len(initial) > max_length
    ):
        yield "initial_value or max_length is out of bounds"


def _check_select(element: Json) -> Iterator[str]:
    options = element.get("options") or []
    if not 1 <= len(options) <= _MAX_OPTIONS:
        yield f"between 1 and {_MAX_OPTIONS} options are needed"
    for option in options:
        yield from block_kit.text_problems(option.get("text"), _MAX_OPTION, plain=True)
        if not 1 <= len(str(option.get("value", ""))) <= _MAX_OPTION_VALUE:
            yield f"value must have 1 to {_MAX_OPTION_VALUE} characters"
    if element.get("initial_option", options[0] if options else None) not in options:
        yield "initial_option is none of the options"


_ELEMENTS: Mapping[str, Callable[[Json], Iterator[str]]] = {
    "plain_text_input": _check_text_input,
    "static_select": _check_select,
}
