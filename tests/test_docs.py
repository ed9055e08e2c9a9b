"""The documents agree with the code: settings, commands, log events, invariants, and paths."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from bot import manifest
from bot.cli import main
from bot.config.settings import Settings, variable
from bot.errors import ConfigError

ROOT = Path(__file__).parents[1]
MOST_BYTES_OF_THE_README = 10_000
MOST_ENTRIES_OF_THE_GLOSSARY = 30
VARIABLES = [variable(name) for name in Settings.model_fields]


def page(name: str) -> str:
    """Return the text of a page in docs/."""
    return (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")


def test_the_readme_is_short() -> None:
    """A newcomer reads the README to its end."""
    assert (ROOT / "README.md").stat().st_size <= MOST_BYTES_OF_THE_README


def test_the_glossary_is_short() -> None:
    """The glossary holds only words that the field does not know."""
    assert len(re.findall(r"^\| \*\*", page("glossary"), re.MULTILINE)) <= MOST_ENTRIES_OF_THE_GLOSSARY


def test_every_page_is_linked_from_the_readme() -> None:
    """A reader of the README finds every page of docs/."""
    linked = set(re.findall(r"\]\(docs/(\w[\w-]*)\.md", (ROOT / "README.md").read_text(encoding="utf-8")))

    assert linked == {path.stem for path in (ROOT / "docs").glob("*.md")}


def test_the_settings_page_lists_exactly_the_settings() -> None:
    """Every setting has a row in docs/settings.md, and every row is a setting."""
    assert sorted(re.findall(r"^\| `([A-Z_]+)` \|", page("settings"), re.MULTILINE)) == sorted(VARIABLES)


def test_the_example_lists_exactly_the_settings() -> None:
    """`.env.example` has one line for every setting and no other."""
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()

    assert sorted(line.partition("=")[0] for line in lines if "=" in line and line[0] != "#") == sorted(VARIABLES)


def test_documented_defaults_are_those_of_the_code() -> None:
    """docs/settings.md and `.env.example` give the defaults of the code."""
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \| `([^`]+)` \|", page("settings"), re.MULTILINE))
    example = Settings.load({}, ROOT / ".env.example")
    for name, field in Settings.model_fields.items():
        told = rows.get(variable(name))
        if told is not None:
            assert getattr(Settings.load({variable(name): told}), name) == field.default, name
        assert getattr(example, name) == field.default, name


def test_the_settings_page_gives_the_range_of_each_number() -> None:
    """The row of a number ends with the range that the settings accept, in the words of the error."""
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \|.* \| (.*) \|$", page("settings"), re.MULTILINE))
    ranges = {name: accepted_range(name) for name in VARIABLES}

    assert len([name for name in VARIABLES if ranges[name]]) > 20
    assert [name for name in VARIABLES if not rows[name].casefold().endswith(ranges[name])] == []


def accepted_range(name: str) -> str:
    """Return the end of a number's row, such as `from 1 to 1,000.`; empty for a setting that is no number."""
    try:
        Settings.load({name: "no number"})
    except ConfigError as error:
        found = re.search(r"number (from \d+ to \d+|above 0, up to \d+)\. ", str(error))
        return re.sub(r"\d+", lambda digits: f"{int(digits[0]):,}", f" {found[1]}.") if found else ""
    return ""


def test_the_operations_page_lists_exactly_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    """Every command that `attendant --help` lists has a row in docs/operations.md, and every row is a command."""
    with pytest.raises(SystemExit):
        main.main(["--help"])
    known = re.findall(r"^    (\w+)", capsys.readouterr().out, re.MULTILINE)

    assert sorted(re.findall(r"^\| `attendant (\w+)`", page("operations"), re.MULTILINE)) == sorted(known)


def test_slash_commands_and_shortcuts_are_documented() -> None:
    """docs/slack.md names every slash command and shortcut of the manifest."""
    described = manifest.read(manifest.document())

    for name in [c.command for c in described.commands] + [s.name for s in described.shortcuts]:
        assert name in page("slack"), name


def test_the_architecture_page_names_every_file() -> None:
    """docs/architecture.md names every Python file of bot/ by its path, and no file that does not exist."""
    named = set(re.findall(r"`(bot/[\w/]+\.py)`", page("architecture")))
    there = {path.relative_to(ROOT).as_posix() for path in (ROOT / "bot").rglob("*.py")}

    assert named - there == set()
    assert {path for path in there if not path.endswith("/__init__.py")} - named == set()


def test_every_path_that_the_documents_name_exists() -> None:
    """Each path of bot/, tests/, bench/ or migrations/ in code quotes is a file or folder of the repository."""
    for document in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        for path in re.findall(r"`((?:bot|tests|bench|migrations)/[\w/.-]*)`", document.read_text(encoding="utf-8")):
            assert (ROOT / path).exists(), (document.name, path)


def log_messages() -> list[str]:
    """Return the message of each log call in bot/, as it is written in the code."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in (ROOT / "bot").rglob("*.py")]
    calls = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]
    levels = {f"log.{level}": 0 for level in ("debug", "info", "warning", "error", "exception")} | {"log.log": 1}
    return [ast.unparse(call.args[levels[name]]) for call in calls if (name := ast.unparse(call.func)) in levels]


def log_events() -> set[str]:
    """Return the names of the events that the code logs."""
    return {event for message in log_messages() for event in re.findall(r"'([a-z0-9]+(?:_[a-z0-9]+)+)'", message)}


def documented_events() -> list[str]:
    """Return the events in the table of docs/operations.md."""
    table = page("operations").split("<!-- events:")[1].split("<!-- end of events -->")[0]
    return re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)


def test_every_log_message_is_the_name_of_an_event() -> None:
    """A log message is a fixed name in snake_case. Variable values are in its fields."""
    assert [message for message in log_messages() if not re.fullmatch(r"'[a-z0-9]+(_[a-z0-9]+)+'", message)] == []


def test_every_log_event_is_documented() -> None:
    """docs/operations.md explains each event that the code logs, once."""
    documented = documented_events()

    assert log_events() - set(documented) == set()
    assert len(set(documented)) == len(documented)


def test_every_documented_event_is_logged() -> None:
    """docs/operations.md explains no event that the code does not log."""
    assert set(documented_events()) - log_events() == set()


@pytest.mark.parametrize(
    ("document", "folder"), [("invariants.md", ""), ("faults.md", "tests/"), ("threats.md", "tests/")]
)
def test_the_tests_that_the_documents_name_exist(document: str, folder: str) -> None:
    """Each test that these documents refer to is a function in the file it names."""
    text = (ROOT / "docs" / document).read_text(encoding="utf-8")
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", text)

    assert len(named) > 5
    for file, function in named:
        assert f"def {function}(" in (ROOT / folder / file).read_text(encoding="utf-8"), (file, function)


def test_every_fault_names_its_test() -> None:
    """Each row of docs/faults.md ends with a test of the person's view. No test is named twice."""
    text = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| ")][1:]
    tests = [re.search(r"\| `([\w/.]+::\w+)` \|$", row) for row in rows]

    assert [row for row, test in zip(rows, tests, strict=True) if test is None] == []
    assert len({test[1] for test in tests if test}) == len(rows)


def anchors(document: Path) -> set[str]:
    """Return the anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_links_in_the_documents_lead_somewhere() -> None:
    """A relative link in any document is a file of the repository, and its anchor is a heading there."""
    for document in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)]+)\)", document.read_text(encoding="utf-8")):
            if "://" not in target:
                path, _, anchor = target.partition("#")
                file = document.parent / path if path else document
                assert file.exists(), (document.name, target)
                assert not anchor or anchor in anchors(file), (document.name, target)


def test_nothing_is_left_for_later() -> None:
    """No committed file contains a note to finish it later."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    pattern = "TO" + "DO|FIX" + "ME|X" + "XX"
    found = subprocess.run([git, "grep", "-nIE", pattern, "--", "bot", "tests", "migrations", "bench"], cwd=ROOT,
                           capture_output=True, text=True, check=False)  # fmt: skip

    assert found.stdout == ""
