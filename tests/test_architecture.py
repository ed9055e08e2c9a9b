"""The architecture of bot/: which file may import which, where each library lives, and how long code may be."""

from __future__ import annotations

import ast
import re
import statistics
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import bot

ROOT = Path(__file__).parents[1]
# Each layer, a file or a folder of bot/, from the top of the reading order down. Imports go up this list, never down.
# Beside each stand the third-party libraries that it may import. aiohttp is the web stack.
LAYERS: dict[str, set[str]] = {
    "errors": set(),
    "config": {"pydantic"},
    "metrics": {"prometheus_client"},
    "manifest": {"yaml"},
    "translations": {"babel"},
    "domain": set(),
    "files": {"charset_normalizer", "pypdf", "PIL"},
    "prompt": set(),
    "llm": {"openai", "aiohttp", "httpx2"},  # httpx2 lies below the openai client
    "store": {"sqlalchemy", "alembic"},
    "tools": set(),
    "access": set(),
    "turns": set(),
    "ops": {"apscheduler", "aiohttp"},
    "services": set(),
    "testing": set(),
    "slack": {"slack_bolt", "slack_sdk", "aiohttp"},
    "gateway": {"aiohttp", "pydantic"},
    "playground": {"aiohttp"},
    "app": set(),
    "api": set(),
    "cli": {"rich"},
}
READING_ORDER = list(LAYERS)
EDGES = {"slack", "gateway", "playground"}  # they never import each other
MOST_FILES_ON_TOP = 9
# The files whose base name stands twice, because both hold the same noun: its values and its rows, two layers of one
# subject, or the two ends of Slack's wire. No other base name stands twice, and none of these a third time.
SAME_NOUN: dict[str, set[str]] = {
    "adapter": {"slack/outbound", "turns"},
    "api_keys": {"domain", "store"},
    "errors": {"", "gateway/outbound", "llm", "playground/web_api", "slack"},  # each layer's own
    "events": {"domain", "slack/inbound/listeners"},
    "history": {"prompt", "store"},
    "inbox": {"store", "turns"},
    "leases": {"store", "turns"},
    "listening": {"domain", "store"},
    "messages": {"playground/workspace", "slack/outbound"},
    "metrics": {"", "store"},
    "mrkdwn": {"playground/workspace", "slack/text"},
    "personal_data": {"domain", "turns"},
    "preferences": {"domain", "store"},
    "sessions": {"domain", "gateway/routes", "store"},
    "socket_mode": {"playground/delivery", "slack/inbound"},
    "summary_parts": {"prompt", "store"},
    "thread_context": {"prompt", "store"},
}
# The only functions that catch every exception. They log it, so that other turns and requests go on.
CATCH_ALL = {"bot/turns/answer.py:_next", "bot/turns/worker.py:_work", "bot/gateway/server.py:_handle_errors"}

# Lengths are lines. A function's length counts its signature and its body, but no decorator and no docstring.
MOST_LINES, MOST_LINES_OF_A_FUNCTION = 300, 40
MEDIAN_LINES_OF_A_FUNCTION, P90_LINES_OF_A_FUNCTION = 5, 15
MOST_METHODS, MOST_PARAMETERS = 15, 8

# Folders of tests/ that test no single folder of bot/.
TESTS_OF_THE_WHOLE = {"acceptance", "browser", "clients", "deploy", "dialogues", "random_days", "support"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Source:
    """A file of this repository, parsed but not imported."""

    name: str  # from the root of the repository
    text: str
    tree: ast.Module

    @property
    def layer(self) -> str:
        """The layer of bot/ that it belongs to."""
        return Path(self.name).parts[1].removesuffix(".py")

    @property
    def module(self) -> str:
        """The name by which other files import it."""
        return self.name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    def functions(self) -> Iterator[Function]:
        """Yield every function, including methods and nested functions."""
        return (node for node in ast.walk(self.tree) if isinstance(node, Function))

    def classes(self) -> Iterator[ast.ClassDef]:
        """Yield every class."""
        return (node for node in ast.walk(self.tree) if isinstance(node, ast.ClassDef))

    def imports(self) -> Iterator[str]:
        """Yield each imported name, anywhere in the file: `from bot import errors` is bot.errors."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield from (f"{node.module}.{alias.name}" for alias in node.names)


def sources(*folders: str) -> list[Source]:
    """Return every Python file of these folders."""
    files = sorted(file for folder in folders for file in (ROOT / folder).rglob("*.py"))
    texts = {file.relative_to(ROOT).as_posix(): file.read_text(encoding="utf-8") for file in files}
    return [Source(name, text, ast.parse(text)) for name, text in texts.items()]


BOT = sources("bot")
LAYERED = [source for source in BOT if source.name not in {"bot/__init__.py", "bot/__main__.py"}]
TESTS = sources("tests")
each = pytest.mark.parametrize


def named(source: Source) -> str:
    """Return a file's name, as the test id."""
    return source.name


def test_every_layer_is_in_the_reading_order() -> None:
    """The table above and bot/__init__ name all files and folders of bot/, in the same order."""
    assert sorted(READING_ORDER) == sorted({source.layer for source in LAYERED})
    assert re.findall(r"\w+", (bot.__doc__ or "").partition("import rule:")[2]) == READING_ORDER


def test_few_files_are_at_the_top() -> None:
    """The listing of bot/ shows its folders, and at most nine files."""
    assert len([source for source in BOT if source.name.count("/") == 1]) <= MOST_FILES_ON_TOP


def test_files_with_one_base_name_have_one_noun() -> None:
    """Only the nouns in the table above may be the name of several files."""
    assert doubled_names(BOT) == SAME_NOUN


def test_class_names_are_unique() -> None:
    """No two classes of bot/ have the same name."""
    assert doubled_classes(BOT) == set()


@each("folder", [source for source in BOT if re.fullmatch(r"bot/(\w+/)+__init__\.py", source.name)], ids=named)
def test_a_folder_has_its_reading_order(folder: Source) -> None:
    """Its docstring lists every file and folder in it once. Each imports only files that are listed before it."""
    listed = re.search(r"Reading order: (.*?)\.\n", (ast.get_docstring(folder.tree) or "") + "\n", re.DOTALL)
    order = re.findall(r"\w+", re.sub(r"\(.*?\)", "", listed[1], flags=re.DOTALL) if listed else "")
    depth = folder.module.count(".") + 1
    inside = {
        source: source.module.split(".")[depth] for source in BOT if source.module.startswith(f"{folder.module}.")
    }

    assert sorted(order) == sorted(set(inside.values()))
    for source, place in inside.items():
        imported = {name.split(".")[depth] for name in source.imports() if name.startswith(f"{folder.module}.")}
        assert {name for name in imported if name in order} <= {*order[: order.index(place)], place}, source.name


@each("source", LAYERED, ids=named)
def test_a_file_imports_only_earlier_layers(source: Source) -> None:
    """A layer imports only itself and the layers that stand before it in the reading order."""
    allowed = {*READING_ORDER[: READING_ORDER.index(source.layer)], source.layer}
    imported = {name.split(".")[1] for name in source.imports() if name.startswith("bot.")}

    assert imported <= allowed


@each("source", [source for source in LAYERED if source.layer in EDGES], ids=named)
def test_edges_never_import_each_other(source: Source) -> None:
    """An edge can be removed without a change to another edge."""
    assert not {
        name for name in source.imports() if name.startswith("bot.") and name.split(".")[1] in EDGES - {source.layer}
    }


@each("source", BOT, ids=named)
def test_each_library_has_one_home(source: Source) -> None:
    """A third-party library is imported only in the layers that the table above gives it."""
    foreign = {name.split(".")[0] for name in source.imports()} - sys.stdlib_module_names - {"bot"}

    assert [library for library in foreign if library not in LAYERS.get(source.layer, ())] == []


def test_migrations_import_only_the_tables() -> None:
    """Migrations never change, so they import the tables' metadata and nothing else of bot/.

    Beside it they need the standard library and the libraries of the database.
    """
    imported = {name for source in sources("migrations") for name in source.imports()}
    of_bot = {name for name in imported if name.startswith("bot.")}

    assert of_bot == {"bot.store.tables.metadata"}
    others = {name.split(".")[0] for name in imported - of_bot}
    assert others - sys.stdlib_module_names <= {"alembic", "sqlalchemy"}


def test_there_is_no_import_cycle() -> None:
    """No file imports itself through others, within a folder or across folders."""
    assert list(TopologicalSorter(import_graph(BOT)).static_order())


@each("source", [*BOT, *TESTS, *sources("migrations", "bench", "deploy")], ids=named)
def test_every_file_has_a_docstring(source: Source) -> None:
    """Each file begins with a docstring whose first paragraph ends with a full stop."""
    first = (ast.get_docstring(source.tree) or "").partition("\n\n")[0]

    assert first.rstrip().endswith((".", "…", ":", ")"))


@each("source", TESTS, ids=named)
def test_every_test_states_its_claim(source: Source) -> None:
    """Each test has a docstring of one or more sentences, which state the claim."""
    claims = {test.name: ast.get_docstring(test) or "" for test in source.functions() if test.name.startswith("test_")}

    assert [name for name, claim in claims.items() if not claim.strip().endswith(".")] == []


@each("source", TESTS, ids=named)
def test_no_test_sleeps(source: Source) -> None:
    """Tests wait for a state, because a fixed time is too long on one machine and too short on another."""
    assert [ast.unparse(call) for call in calls(source) if sleeps(call)] == []


@each("source", BOT, ids=named)
def test_files_and_functions_are_short(source: Source) -> None:
    """A file has at most 300 lines, a function at most 40."""
    lengths = {function.name: length(function) for function in source.functions()}

    assert len(source.text.splitlines()) <= MOST_LINES
    assert {name: lines for name, lines in lengths.items() if lines > MOST_LINES_OF_A_FUNCTION} == {}


def test_most_functions_are_very_short() -> None:
    """Half of the functions have at most 5 lines, and nine out of ten at most 15."""
    lengths = [length(function) for source in BOT for function in source.functions()]

    assert statistics.median(lengths) <= MEDIAN_LINES_OF_A_FUNCTION
    assert statistics.quantiles(lengths, n=10)[-1] <= P90_LINES_OF_A_FUNCTION


@each("source", BOT, ids=named)
def test_no_class_has_too_many_methods(source: Source) -> None:
    """A class has at most 15 methods, properties included."""
    methods = {found.name: sum(isinstance(node, Function) for node in found.body) for found in source.classes()}

    assert over(MOST_METHODS, methods, source) == set()


@each("source", BOT, ids=named)
def test_no_function_has_too_many_parameters(source: Source) -> None:
    """A function has at most 8 parameters, `self` not counted."""
    parameters = {function.name: len(parameters_of(function)) for function in source.functions()}

    assert over(MOST_PARAMETERS, parameters, source) == set()


@each("source", BOT, ids=named)
def test_log_calls_name_an_event(source: Source) -> None:
    """A log call gives a fixed event name in snake_case. Values that differ from call to call are in `extra`."""
    sentences = [ast.unparse(call) for call in calls(source) if is_log_call(call) and not names_an_event(call)]

    assert sentences == []


@each("folder", sorted({Path(source.name).parent for source in TESTS}), ids=str)
def test_tests_mirror_the_bot(folder: Path) -> None:
    """A folder of tests/ has the name of the folder of bot/ that it tests."""
    inside = folder.relative_to("tests")

    assert set(inside.parts[:1]) <= TESTS_OF_THE_WHOLE or (ROOT / "bot" / inside).is_dir()


@each("source", BOT, ids=named)
def test_only_the_settings_read_the_environment(source: Source) -> None:
    """The command and the Python API pass the environment to config, and no other file reads it."""
    read = re.findall(r"os\.environ\b|os\.getenv|environ\[|load_dotenv", source.text)

    assert read == (["os.environ"] if source.name in {"bot/cli/main.py", "bot/api.py"} else [])


@each("source", BOT, ids=named)
def test_few_functions_catch_every_exception(source: Source) -> None:
    """Any other function that catches every exception raises it again."""
    found = {
        f"{source.name}:{function.name}"
        for function in source.functions()
        for handler in ast.walk(function)
        if isinstance(handler, ast.ExceptHandler) and catches_all(handler) and not raises_again(handler)
    }

    assert found <= CATCH_ALL


def doubled_names(files: list[Source]) -> dict[str, set[str]]:
    """Return the base names of several files, each with the folders of bot/ that hold one."""
    folders: dict[str, set[str]] = {}
    for path in (Path(source.name) for source in files):
        if path.stem != "__init__":
            folders.setdefault(path.stem, set()).add(path.parent.as_posix().removeprefix("bot").removeprefix("/"))
    return {name: found for name, found in folders.items() if len(found) > 1}


def doubled_classes(files: list[Source]) -> set[str]:
    """Return the names that several classes have."""
    names = [node.name for source in files for node in source.classes()]
    return {name for name in names if names.count(name) > 1}


def import_graph(files: list[Source]) -> dict[str, set[str]]:
    """Return the modules that each module imports."""
    modules = {source.module for source in files}
    return {
        source.module: {name if name in modules else name.rpartition(".")[0] for name in source.imports()} & modules
        for source in files
    }


def length(function: Function) -> int:
    """Return the lines of the signature and the body, without decorators and docstring."""
    docstring = function.body[0] if ast.get_docstring(function) is not None else None
    return lines_of(function) - (lines_of(docstring) if docstring else 0)


def lines_of(node: Function | ast.stmt) -> int:
    """Return how many lines a statement spans."""
    return (node.end_lineno or 0) - node.lineno + 1


def parameters_of(function: Function) -> list[str]:
    """Return the names of the parameters, without `self` and `cls`."""
    given = function.args
    named = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
    return [parameter.arg for parameter in named if parameter and parameter.arg not in {"self", "cls"}]


def over(most: int, counts: dict[str, int], source: Source) -> set[str]:
    """Return the names whose count is too high, each after its file."""
    return {f"{source.name}:{name}" for name, count in counts.items() if count > most}


def is_log_call(call: ast.Call) -> bool:
    """Whether this call writes to the file's logger."""
    levels = {"debug", "info", "warning", "error", "exception", "critical", "log"}
    return isinstance(call.func, ast.Attribute) and call.func.attr in levels and ast.unparse(call.func.value) == "log"


def names_an_event(call: ast.Call) -> bool:
    """Whether a log call's only message is a literal event name; log() has a level before it."""
    message = call.args[1:] if ast.unparse(call.func) == "log.log" else call.args
    event = message[0].value if len(message) == 1 and isinstance(message[0], ast.Constant) else None
    return isinstance(event, str) and re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)+", event) is not None


def calls(source: Source) -> Iterator[ast.Call]:
    """Yield every call in the file."""
    return (node for node in ast.walk(source.tree) if isinstance(node, ast.Call))


def sleeps(call: ast.Call) -> bool:
    """Whether this call waits for a time. sleep(0) only lets other tasks run."""
    return ast.unparse(call.func).endswith("sleep") and [ast.unparse(argument) for argument in call.args] != ["0"]


def catches_all(handler: ast.ExceptHandler) -> bool:
    """Whether it catches every exception."""
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(kind is None or ast.unparse(kind) in {"Exception", "BaseException"} for kind in kinds)


def raises_again(handler: ast.ExceptHandler) -> bool:
    """Whether the handler ends with a bare raise."""
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


REFUSED: list[tuple[Callable[[Source], None], str, str]] = [
    (test_a_file_imports_only_earlier_layers, "bot/errors.py", "def f():\n    from bot import config"),
    (test_edges_never_import_each_other, "bot/slack/x.py", "import bot.gateway"),
    (test_each_library_has_one_home, "bot/turns/inbox.py", "import sqlalchemy as sa"),
    (test_each_library_has_one_home, "bot/slack/x.py", "import requests"),
    (test_every_file_has_a_docstring, "bot/x.py", "import os"),
    (test_every_test_states_its_claim, "tests/x.py", "class T:\n    async def test_x(self): ..."),
    (test_no_test_sleeps, "tests/x.py", "async def f():\n    await asyncio.sleep(0.1)"),
    (test_no_test_sleeps, "tests/x.py", "time.sleep(1)"),
    (test_files_and_functions_are_short, "bot/x.py", "\n" * 301),
    (test_files_and_functions_are_short, "bot/x.py", "def f():" + "\n    f()" * 41),
    (
        test_no_class_has_too_many_methods,
        "bot/x.py",
        "class X:" + "".join(f"\n    def f{n}(self): ..." for n in range(16)),
    ),
    (test_no_function_has_too_many_parameters, "bot/x.py", "def f(a, b, c, /, d, e, *f, g, h, **i): ..."),
    (test_log_calls_name_an_event, "bot/x.py", 'log.info("the turn has ended")'),
    (test_log_calls_name_an_event, "bot/x.py", 'log.info("turn_settled %s", turn)'),
    (test_log_calls_name_an_event, "bot/x.py", 'log.log(level, f"turn_{state}")'),
    (test_only_the_settings_read_the_environment, "bot/app.py", "import os\nos.environ['X']"),
    (test_few_functions_catch_every_exception, "bot/app.py", "def f():\n    try: ...\n    except Exception: ..."),
    (test_few_functions_catch_every_exception, "bot/app.py", "def f():\n    try: ...\n    except: ..."),
]


@each(("rule", "name", "text"), REFUSED)
def test_the_rules_can_be_broken(rule: Callable[[Source], None], name: str, text: str) -> None:
    """Each rule fails for a file that breaks it."""
    with pytest.raises(AssertionError):
        rule(Source(name, text, ast.parse(text)))


def test_the_rules_of_the_whole_can_be_broken() -> None:
    """The checks of all files together find a doubled base name, a doubled class and an import cycle."""
    texts = {
        "bot/a/x.py": "from bot.b import y\nclass A: ...",
        "bot/b/x.py": "class A: ...",
        "bot/b/y.py": "import bot.a.x",
    }
    files = [Source(name, text, ast.parse(text)) for name, text in texts.items()]

    assert doubled_names(files) == {"x": {"a", "b"}}
    assert doubled_classes(files) == {"A"}
    with pytest.raises(CycleError):
        list(TopologicalSorter(import_graph(files)).static_order())
