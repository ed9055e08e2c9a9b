"""Extraction: the lines that the code translates, found in its source.

A line is what `translated`, `map(translated, …)` or `plural` is called with: a literal, or a constant of a module, such
as `translated(texts.BUSY)` or `translated(_UNREAD[outcome])`, whose values are then all lines.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from babel.messages.catalog import Catalog

ROOT = Path(__file__).parents[2]
PROJECT = "attendant"

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Line:
    """An English line, with its plural if it has one, and the file that translates it."""

    one: str
    many: str
    file: str

    @property
    def id(self) -> str | tuple[str, str]:
        """The line as a catalogue's key."""
        return (self.one, self.many) if self.many else self.one


class UnknownLineError(Exception):
    """The source does not tell which lines a call translates."""


@functools.cache
def lines() -> Sequence[Line]:
    """Return every line that the bot translates, in the order of the files."""
    files = sorted((ROOT / "bot").rglob("*.py"))
    return [line for file in files for line in lines_in(Module.of(file.relative_to(ROOT).as_posix()))]


def template() -> Catalog:
    """Return all lines as a catalogue without translations."""
    catalog = Catalog(project=PROJECT, fuzzy=False)
    for line in lines():
        catalog.add(line.id, locations=[(line.file, 1)])
    return catalog


def lines_in(module: Module) -> Iterator[Line]:
    """Yield the lines that a file translates. Raises UnknownLineError."""
    for node in sorted(calls_in(module), key=lambda call: (call.lineno, call.col_offset)):
        if module.name != "bot/domain/language.py":
            match node:
                case ast.Call(ast.Name("plural"), [one, many, *_]):
                    [first], [other] = module.strings(one), module.strings(many)
                    yield Line(first, other, module.name)
                case ast.Call(ast.Name("translated"), [line]) | ast.Call(
                    ast.Name("map"), [ast.Name("translated"), line]
                ):
                    yield from (Line(found, "", module.name) for found in module.strings(line) if found)


def calls_in(module: Module) -> Iterator[ast.Call]:
    """Yield every call in a file."""
    return (node for node in ast.walk(module.tree) if isinstance(node, ast.Call))


@dataclass(frozen=True)
class Module:
    """A source file, parsed but not imported."""

    name: str  # from the root of the repository
    tree: ast.Module

    @classmethod
    @functools.cache
    def of(cls, name: str) -> Module:
        """Return the module in a file."""
        return cls(name, ast.parse((ROOT / name).read_text(encoding="utf-8")))

    @functools.cached_property
    def constants(self) -> Mapping[str, ast.expr]:
        """The values that are assigned at the top of the file, by name."""
        found: dict[str, ast.expr] = {}
        for node in self.tree.body:
            match node:
                case ast.Assign([ast.Name(name)], value):
                    found[name] = value
                case ast.Assign([ast.Tuple(targets)], ast.Tuple(values)):
                    found |= {t.id: v for t, v in zip(targets, values, strict=True) if isinstance(t, ast.Name)}
                case ast.AnnAssign(ast.Name(name), _, ast.expr() as value):
                    found[name] = value
        return found

    @functools.cached_property
    def imports(self) -> Mapping[str, str]:
        """The files of imported modules of the bot, by the name that they have here."""
        found: dict[str, str] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("bot"):
                folder = (node.module or "").replace(".", "/")
                found |= {name.asname or name.name: f"{folder}/{name.name}.py" for name in node.names}
        return found

    def strings(self, value: ast.expr) -> list[str]:
        """Return the texts that an expression may have. Raises UnknownLineError."""
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            return [value.value]
        return [text for module, part in self._parts(value) for text in module.strings(part)]

    def _parts(self, value: ast.expr) -> list[tuple[Module, ast.expr]]:
        """Return the expressions from which an expression takes its value, each with its module."""
        parts: list[ast.expr] = []
        match value:
            case ast.IfExp(_, yes, no):
                parts = [yes, no]
            case ast.Dict(_, values) | ast.Tuple(values) | ast.List(values) | ast.BoolOp(_, values):
                parts = values
            case ast.Subscript(collection, _):
                parts = [collection]
            case ast.Call(ast.Attribute(collection, "get"), [_, *others]):
                parts = [collection, *others]
            case ast.Name(name) if name in self.constants:
                parts = [self.constants[name]]
            case ast.Attribute(ast.Name(module), name) if module in self.imports:
                other = Module.of(self.imports[module])
                if name in other.constants:
                    return [(other, other.constants[name])]
        if not parts:
            raise UnknownLineError(
                f"{self.name}:{value.lineno} translates {ast.unparse(value)!r}, and its lines cannot be found. "
                "Pass a literal, or a constant of a texts module."
            )
        return [(self, part) for part in parts]
