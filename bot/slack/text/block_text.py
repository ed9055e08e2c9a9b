"""The words of Block Kit blocks, as mrkdwn.

Rule: pure, and never raises. A malformed part reads as empty. What is no text, such as a button, is left out.
Facts: https://docs.slack.dev/reference/block-kit/blocks
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

DEPTH = 12  # of blocks and elements within each other; Slack nests far less
_ID = re.compile(r"[A-Z0-9]{1,64}")
_BULLETS = {"bullet": "•", "ordered": "{}."}
_CONTROLS = frozenset({"actions", "context_actions", "input", "divider"})


def words_of_blocks(blocks: object, *, without: frozenset[str] = frozenset()) -> str:
    """Return the words of a message's blocks as mrkdwn, one block after the other. `without`: types to leave out."""
    parts = [_block(block, DEPTH) for block in _objects(blocks) if _string(block, "type") not in without]
    return "\n".join(part for part in parts if part.strip())


def escaped(text: str) -> str:
    """Return plain text as mrkdwn."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _block(block: Mapping[str, Any], depth: int) -> str:
    kind = _string(block, "type")
    if depth <= 0 or kind in _CONTROLS:
        return ""
    match kind:
        case "rich_text":
            return "\n".join(_rich_block(each, depth - 1) for each in _objects(block.get("elements")))
        case "markdown":
            return escaped(_string(block, "text"))
        case "table" | "data_table":
            return "\n".join(_row(row, depth - 1) for row in _list(block.get("rows")))
        case "image" | "video":
            return _first(_text(block.get("title")), escaped(_string(block, "alt_text")))
        case _:
            return _texts_of(block, depth)


def _texts_of(block: Mapping[str, Any], depth: int) -> str:
    """Return the texts of a block with text objects: a section, a header, a context, or one that is new to the bot."""
    names = ("title", "subtitle", "text", "body", "description", "value")
    parts = [_text(block.get(name)) for name in names]
    parts += [_text(field) for field in _list(block.get("fields"))]
    for name in ("elements", "blocks", "children", "cards"):
        for each in _objects(block.get(name)):
            is_text = each.get("type") in ("plain_text", "mrkdwn")
            parts.append(_text(each) if is_text else _block(each, depth - 1))
    return "\n".join(part for part in parts if part.strip())


def _rich_block(element: Mapping[str, Any], depth: int) -> str:
    match element.get("type"):
        case "rich_text_list":
            return _list_items(element, depth)
        case "rich_text_preformatted":
            return f"```\n{_inline(element)}\n```"
        case "rich_text_quote":
            return "\n".join(f"&gt; {line}" for line in _inline(element).splitlines())
        case _:
            return _inline(element)


def _list_items(element: Mapping[str, Any], depth: int) -> str:
    indent, offset = _number(element, "indent"), _number(element, "offset")
    bullet = _BULLETS.get(_string(element, "style"), "•")
    items = enumerate(_objects(element.get("elements")), offset + 1)
    lines = [f"{'  ' * min(indent, DEPTH)}{bullet.format(at)} {_rich_block(item, depth - 1)}" for at, item in items]
    return "\n".join(lines) if depth > 0 else ""


def _inline(element: Mapping[str, Any]) -> str:
    return "".join(_INLINE.get(_string(each, "type"), _plain)(each) for each in _objects(element.get("elements")))


def _plain(element: Mapping[str, Any]) -> str:
    text = escaped(_first(_string(element, "text"), _string(element, "url")))
    is_code = isinstance(style := element.get("style"), dict) and style.get("code") is True
    return f"`{text}`" if is_code and text else text


def _link(element: Mapping[str, Any]) -> str:
    url, label = escaped(_string(element, "url")).replace("|", "%7C"), escaped(_string(element, "text"))
    return f"<{url}|{label}>" if label else f"<{url}>" if url else ""


def _token(sign: str, field: str) -> Callable[[Mapping[str, Any]], str]:
    def token(element: Mapping[str, Any]) -> str:
        target = _string(element, field)
        return f"<{sign}{target}>" if _ID.fullmatch(target) else ""

    return token


def _broadcast(element: Mapping[str, Any]) -> str:
    return f"<!{word}>" if (word := _string(element, "range")) in ("here", "channel", "everyone") else ""


_INLINE: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "text": _plain,
    "link": _link,
    "user": _token("@", "user_id"),
    "channel": _token("#", "channel_id"),
    "usergroup": _token("!subteam^", "usergroup_id"),
    "broadcast": _broadcast,
    "emoji": lambda element: escaped(f":{_string(element, 'name')}:"),
    "date": lambda element: escaped(_string(element, "fallback")),
    "color": lambda element: escaped(_string(element, "value")),
}


def _row(row: object, depth: int) -> str:
    """Return a row of a table. A cell is raw text, or rich text: https://docs.slack.dev/reference/block-kit/blocks/table-block."""
    cells = [
        _block(cell, depth) if cell.get("type") == "rich_text" else _text(cell)
        for cell in _objects(row if isinstance(row, list) else row.get("cells") if isinstance(row, dict) else None)
    ]
    return " | ".join(" ".join(cell.split()) for cell in cells)


def _text(text: object) -> str:
    """Return a text object as mrkdwn, or a string."""
    match text:
        case {"type": "mrkdwn", "text": str(mrkdwn)}:
            return mrkdwn
        case {"text": str(plain)} | str(plain):
            return escaped(plain)
        case _:
            return ""


def _objects(value: object) -> Iterator[Mapping[str, Any]]:
    return (each for each in _list(value) if isinstance(each, dict))


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _string(element: Mapping[str, Any], name: str) -> str:
    value = element.get(name)
    return value if isinstance(value, str) else ""


def _number(element: Mapping[str, Any], name: str) -> int:
    value = element.get(name)
    return value if type(value) is int and value >= 0 else 0


def _first(*texts: str) -> str:
    return next((text for text in texts if text.strip()), "")
