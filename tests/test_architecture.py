"""The house keeps its shape: who may import whom, where each library lives, how long a file may be."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import bot

ROOT = Path(__file__).parents[1]
# The house: each file or folder of bot/, from the top of the reading order down. Imports go up this list, never down.
# Beside each stand the third-party libraries that live there. aiohttp is the web stack wherever the web begins.
HOUSE: dict[str, set[str]] = {
    "errors": set(),
    "config": set(),
    "manifest": {"yaml"},
    "domain": set(),
    "prompt": set(),
    "llm": {"openai", "aiohttp", "httpx2"},  # httpx2 lies below the openai client
    "store": {"sqlalchemy", "alembic"},
    "tools": set(),
    "turns": set(),
    "ops": {"apscheduler", "aiohttp"},
    "testing": set(),
    "slack": {"slack_bolt", "slack_sdk", "aiohttp"},
    "gateway": {"aiohttp"},
    "playground": {"aiohttp"},
    "app": set(),
    "api": set(),
    "cli": set(),
}
READING_ORDER = list(HOUSE)
EDGES = {"slack", "gateway", "playground"}  # they never import each other
MOST_FILES_ON_TOP = 9
# The one noun that two layers, or the two ends of Slack's wire, both hold. No other base name stands twice.
SAME_NOUN = {
    "adapter": "the port, and Slack's side of it",
    "api_keys": "values, and their rows",
    "errors": "each layer's own",
    "events": "the bot's, and the listeners of Slack's",
    "history": "a session's turns: as rows, and as the model reads them",
    "inbox": "accepting events, and its SQL",
    "leases": "who renews them, and their SQL",
    "messages": "Slack's, on either side of the wire",
    "mrkdwn": "Slack's, on either side of the wire",
    "preferences": "values, and their rows",
    "server": "an edge's HTTP server",
    "sessions": "values, their rows, and their HTTP routes",
    "socket_mode": "the two ends of it",
    "thread_context": "as the model reads it, and its rows",
}
# Where whatever went wrong is caught, and logged, so that the rest goes on.
DOORS = {"bot/turns/worker.py:_work", "bot/gateway/server.py:_guard"}

MOST_LINES, MOST_LINES_OF_A_FUNCTION = 299, 40

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Source:
    """A file of ours, read but not run."""

    name: str  # from the root of the repository
    text: str
    tree: ast.Module

    @property
    def room(self) -> str:
        """The file or folder of bot/ that it belongs to."""
        return Path(self.name).parts[1].removesuffix(".py")

    @property
    def module(self) -> str:
        """The name by which it is imported."""
        return self.name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    def functions(self) -> Iterator[Function]:
        """Every function, methods and inner ones too."""
        return (node for node in ast.walk(self.tree) if isinstance(node, Function))

    def imports(self) -> Iterator[str]:
        """What is imported, wherever in the file: `from bot import wording` is bot.wording."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield from (f"{node.module}.{alias.name}" for alias in node.names)


def sources(*folders: str) -> list[Source]:
    """Every Python file of these folders."""
    files = sorted(file for folder in folders for file in (ROOT / folder).rglob("*.py"))
    texts = {file.relative_to(ROOT).as_posix(): file.read_text(encoding="utf-8") for file in files}
    return [Source(name, text, ast.parse(text)) for name, text in texts.items()]


BOT = sources("bot")
ROOMS = [source for source in BOT if source.name not in {"bot/__init__.py", "bot/__main__.py"}]
TESTS = sources("tests")
each = pytest.mark.parametrize


def named(source: Source) -> str:
    """A file's name, for the report."""
    return source.name


def test_every_room_stands_in_the_reading_order() -> None:
    """The table above and bot/__init__ name every file and folder once, in one order, and nothing that is not there."""
    assert sorted(READING_ORDER) == sorted({source.room for source in ROOMS})
    assert re.findall(r"\w+", (bot.__doc__ or "").partition("import rule:")[2]) == READING_ORDER


def test_few_files_stand_on_top() -> None:
    """The listing of bot/ shows its folders, and hardly anything else."""
    assert len([source for source in BOT if source.name.count("/") == 1]) <= MOST_FILES_ON_TOP


def test_a_base_name_stands_twice_only_for_one_noun() -> None:
    """Whoever knows a file's name knows its subject; the table above says which nouns have two files, and why."""
    names = [Path(source.name).stem for source in BOT if not source.name.endswith("__init__.py")]

    assert {name for name in names if names.count(name) > 1} == set(SAME_NOUN)


def test_no_class_name_stands_twice() -> None:
    """A class's name says which one is meant, wherever it is read."""
    names = [node.name for source in BOT for node in ast.walk(source.tree) if isinstance(node, ast.ClassDef)]

    assert [name for name in set(names) if names.count(name) > 1] == []


@each("folder", [source for source in BOT if re.fullmatch(r"bot/(\w+/)+__init__\.py", source.name)], ids=named)
def test_a_folder_has_its_reading_order(folder: Source) -> None:
    """It names every file and folder in there once, and each imports only what stands above it."""
    told = re.search(r"Reading order: (.*?)\.\n", (ast.get_docstring(folder.tree) or "") + "\n", re.DOTALL)
    order = re.findall(r"\w+", re.sub(r"\(.*?\)", "", told[1], flags=re.DOTALL) if told else "")
    depth = folder.module.count(".") + 1
    inside = {
        source: source.module.split(".")[depth] for source in BOT if source.module.startswith(f"{folder.module}.")
    }

    assert sorted(order) == sorted(set(inside.values()))
    for source, place in inside.items():
        ours = {name.split(".")[depth] for name in source.imports() if name.startswith(f"{folder.module}.")}
        assert {name for name in ours if name in order} <= {*order[: order.index(place)], place}, source.name


@each("source", ROOMS, ids=named)
def test_a_file_imports_only_what_stands_above_it(source: Source) -> None:
    """Whoever reads from the top never meets a name that was not explained; a folder counts as one."""
    allowed = {*READING_ORDER[: READING_ORDER.index(source.room)], source.room}
    imported = {name.split(".")[1] for name in source.imports() if name.startswith("bot.")}

    assert imported <= allowed


@each("source", [source for source in ROOMS if source.room in EDGES], ids=named)
def test_edges_never_import_each_other(source: Source) -> None:
    """A platform can be taken away without another noticing."""
    assert not {
        name for name in source.imports() if name.startswith("bot.") and name.split(".")[1] in EDGES - {source.room}
    }


@each("source", BOT, ids=named)
def test_each_library_has_one_home(source: Source) -> None:
    """What is neither ours nor the standard library's is imported where it lives, and nowhere else."""
    foreign = {name.split(".")[0] for name in source.imports()} - sys.stdlib_module_names - {"bot"}

    assert [library for library in foreign if library not in HOUSE.get(source.room, ())] == []


def test_migrations_know_the_tables_and_nothing_else_of_ours() -> None:
    """They must run as they are for ever, so that they lean on as little as possible."""
    imported = {name for source in sources("migrations") for name in source.imports()}
    ours = {name for name in imported if name.startswith("bot.")}

    assert ours == {"bot.store.tables.metadata"}
    assert {name.split(".")[0] for name in imported - ours} <= {"__future__", "alembic", "sqlalchemy"}


def test_no_import_goes_in_a_circle() -> None:
    """Inside the folders as well: every file can be understood from the files below it in the graph."""
    modules = {source.module for source in BOT}
    graph = {
        source.module: {name if name in modules else name.rpartition(".")[0] for name in source.imports()} & modules
        for source in BOT
    }

    assert set(TopologicalSorter(graph).static_order()) == modules


@each("source", [*BOT, *TESTS, *sources("migrations", "bench")], ids=named)
def test_every_file_opens_by_saying_what_it_is(source: Source) -> None:
    """A docstring, with a sentence in its first line."""
    first = (ast.get_docstring(source.tree) or "").partition("\n\n")[0]

    assert first.rstrip().endswith((".", "…", ":", ")"))


@each("source", TESTS, ids=named)
def test_every_test_states_its_claim(source: Source) -> None:
    """A docstring says in a sentence what must be true."""
    claims = {test.name: ast.get_docstring(test) or "" for test in source.functions() if test.name.startswith("test_")}

    assert [name for name, claim in claims.items() if not claim.strip().endswith(".")] == []


@each("source", TESTS, ids=named)
def test_no_test_sleeps(source: Source) -> None:
    """Tests wait for a state: a time is too long on one machine and too short on the next."""
    assert [ast.unparse(call) for call in calls(source) if sleeps(call)] == []


@each("source", BOT, ids=named)
def test_files_and_functions_are_short(source: Source) -> None:
    """A file fits in the head, a function on the screen."""
    lengths = {function.name: (function.end_lineno or 0) - function.lineno + 1 for function in source.functions()}

    assert len(source.text.splitlines()) <= MOST_LINES
    assert {name: lines for name, lines in lengths.items() if lines > MOST_LINES_OF_A_FUNCTION} == {}


@each("source", BOT, ids=named)
def test_only_the_settings_read_the_environment(source: Source) -> None:
    """The command, and whoever opens the bot in Python, hand it to config, which alone knows what stands in it."""
    read = re.findall(r"os\.environ\b|os\.getenv|environ\[|load_dotenv", source.text)

    assert read == (["os.environ"] if source.name in {"bot/cli/main.py", "bot/api.py"} else [])


@each("source", BOT, ids=named)
def test_everything_is_caught_at_the_doors_alone(source: Source) -> None:
    """Elsewhere an unforeseen error may be caught only to be raised again."""
    found = {
        f"{source.name}:{function.name}"
        for function in source.functions()
        for handler in ast.walk(function)
        if isinstance(handler, ast.ExceptHandler) and catches_all(handler) and not raises_again(handler)
    }

    assert found <= DOORS


def calls(source: Source) -> Iterator[ast.Call]:
    """Every call in the file."""
    return (node for node in ast.walk(source.tree) if isinstance(node, ast.Call))


def sleeps(call: ast.Call) -> bool:
    """Whether this call waits for a time; sleep(0) only lets the others go on."""
    return ast.unparse(call.func).endswith("sleep") and [ast.unparse(argument) for argument in call.args] != ["0"]


def catches_all(handler: ast.ExceptHandler) -> bool:
    """Whether it takes any exception."""
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(kind is None or ast.unparse(kind) in {"Exception", "BaseException"} for kind in kinds)


def raises_again(handler: ast.ExceptHandler) -> bool:
    """Whether the handler ends by raising what it caught."""
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


REFUSED: list[tuple[Callable[[Source], None], str, str]] = [
    (test_a_file_imports_only_what_stands_above_it, "bot/errors.py", "def f():\n    from bot import config"),
    (test_edges_never_import_each_other, "bot/slack/x.py", "import bot.gateway"),
    (test_each_library_has_one_home, "bot/turns/inbox.py", "import sqlalchemy as sa"),
    (test_each_library_has_one_home, "bot/slack/x.py", "import requests"),
    (test_every_file_opens_by_saying_what_it_is, "bot/x.py", "import os"),
    (test_every_test_states_its_claim, "tests/x.py", "class T:\n    async def test_x(self): ..."),
    (test_no_test_sleeps, "tests/x.py", "async def f():\n    await asyncio.sleep(0.1)"),
    (test_no_test_sleeps, "tests/x.py", "time.sleep(1)"),
    (test_files_and_functions_are_short, "bot/x.py", "\n" * 301),
    (test_files_and_functions_are_short, "bot/x.py", "def f():" + "\n    f()" * 41),
    (test_only_the_settings_read_the_environment, "bot/app.py", "import os\nos.environ['X']"),
    (test_everything_is_caught_at_the_doors_alone, "bot/app.py", "def f():\n    try: ...\n    except Exception: ..."),
    (test_everything_is_caught_at_the_doors_alone, "bot/app.py", "def f():\n    try: ...\n    except: ..."),
]


@each(("rule", "name", "text"), REFUSED)
def test_the_rules_can_be_broken(rule: Callable[[Source], None], name: str, text: str) -> None:
    """A rule that nothing breaks would be no rule."""
    with pytest.raises(AssertionError):
        rule(Source(name, text, ast.parse(text)))
