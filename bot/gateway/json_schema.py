"""Shapes: whether a JSON value is what a schema says, and if not, where and why.

Rule: pure. It knows the part of JSON Schema that schemas.py uses, so that what is checked is what the OpenAPI document
says. `oneOf` is always told apart by a discriminator.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, and where: `messages[0].role`."""

    where: str
    what: str
    unknown: bool = False  # a field that there is not


def check(value: object, schema: Schema) -> Problem | None:
    """The first problem; None when the value is what the schema says."""
    return next(_problems(value, schema, ""), None)


def _problems(value: Any, schema: Schema, where: str) -> Iterator[Problem]:
    if "oneOf" in schema:
        yield from _of_kind(value, schema, where)
        return
    if "anyOf" in schema:
        yield from _of_any(value, schema["anyOf"], where)
        return
    if "enum" in schema and not any(
        value is each or (value == each and type(value) is type(each)) for each in schema["enum"]
    ):
        yield Problem(where, f"must be one of {', '.join(map(repr, schema['enum']))}")
        return
    if "type" in schema and _type(value) not in _allowed(schema):
        yield Problem(where, f"must be of type {' or '.join(sorted(_allowed(schema)))}")
        return
    for keyword, (applies, problem) in _BOUNDS.items():
        if (
            keyword in schema
            and isinstance(value, applies)
            and not isinstance(value, bool)
            and (said := problem(value, schema[keyword]))
        ):
            yield Problem(where, said)
    if isinstance(value, dict):
        yield from _in_object(value, schema, where)
    if isinstance(value, list) and "items" in schema:
        for index, item in enumerate(value):
            yield from _problems(item, schema["items"], f"{where}[{index}]")


def _of_kind(value: Any, schema: Schema, where: str) -> Iterator[Problem]:
    told_by = schema["discriminator"]["propertyName"]
    kinds = {kind["properties"][told_by]["enum"][0]: kind for kind in schema["oneOf"]}
    kind = value.get(told_by) if isinstance(value, dict) else None
    if not isinstance(value, dict):
        yield Problem(where, "must be of type object")
    elif not isinstance(kind, str) or kind not in kinds:
        yield Problem(_field(where, told_by), f"must be one of {', '.join(map(repr, kinds))}")
    else:
        yield from _problems(value, kinds[kind], where)


def _of_any(value: Any, schemas: list[Schema], where: str) -> Iterator[Problem]:
    """No problem when one of them fits; else the problem of the one that is of the value's type."""
    found = [next(_problems(value, schema, where), None) for schema in schemas]
    if None not in found:
        near = [p for p, schema in zip(found, schemas, strict=True) if p and _type(value) in _allowed(schema)]
        yield from near[:1] or [Problem(where, f"must be of type {' or '.join(sorted(_types(schemas)))}")]


def _in_object(value: dict[str, Any], schema: Schema, where: str) -> Iterator[Problem]:
    known = schema.get("properties", {})
    for name, part in value.items():
        if name in known:
            yield from _problems(part, known[name], _field(where, name))
        elif schema.get("additionalProperties") is False:
            yield Problem(_field(where, name), "is not known here", unknown=True)
        elif isinstance(others := schema.get("additionalProperties"), Mapping):
            yield from _problems(part, others, _field(where, name))
    for name in schema.get("required", ()):
        if name not in value:
            yield Problem(_field(where, name), "is missing")


def _field(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def _allowed(schema: Schema) -> set[str]:
    named = schema.get("type", ())
    types = {named} if isinstance(named, str) else set(named)
    return types | ({"integer"} if "number" in types else set())


def _types(schemas: list[Schema]) -> set[str]:
    return {name for schema in schemas for name in _allowed(schema)} or {"another"}


def _type(value: object) -> str:
    return _NAMES.get(type(value), "object")


_NAMES = {
    type(None): "null",
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    list: "array",
}
_Bound = tuple[type | tuple[type, ...], Callable[[Any, Any], str]]
_BOUNDS: dict[str, _Bound] = {
    "minimum": ((int, float), lambda value, least: f"must be at least {least}" if value < least else ""),
    "maximum": ((int, float), lambda value, most: f"must be at most {most}" if value > most else ""),
    "minLength": (str, lambda value, least: f"must have at least {least} characters" if len(value) < least else ""),
    "maxLength": (str, lambda value, most: f"must have at most {most} characters" if len(value) > most else ""),
    "minItems": (list, lambda value, least: f"must have at least {least} items" if len(value) < least else ""),
    "maxItems": (list, lambda value, most: f"must have at most {most} items" if len(value) > most else ""),
}
