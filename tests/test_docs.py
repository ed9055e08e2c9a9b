"""The documents keep step with the code: settings, commands, invariants, the tree they describe."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from bot import manifest
from bot.cli import main
from bot.config.settings import Settings, variable

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
VARIABLES = [variable(name) for name in Settings.model_fields]


def test_the_readme_lists_exactly_the_settings() -> None:
    """Every setting has a row in the README's table, in the code's order or not, and every row is a setting."""
    table = README.split("<!-- settings:")[1].split("\n## ")[0]

    assert sorted(re.findall(r"^\| `([A-Z_]+)` \|", table, re.MULTILINE)) == sorted(VARIABLES)


def test_the_example_lists_exactly_the_settings() -> None:
    """`.env.example` has one line for every setting and no other."""
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()

    assert sorted(line.partition("=")[0] for line in lines if "=" in line and line[0] != "#") == sorted(VARIABLES)


def test_defaults_are_told_as_they_are() -> None:
    """The defaults in the README and in `.env.example` are the code's, as far as they can be written down."""
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \| `([^`]+)` \|", README, re.MULTILINE))
    example = Settings.load({}, ROOT / ".env.example")
    for name, field in Settings.model_fields.items():
        told = rows.get(variable(name))
        if told is not None:
            assert getattr(Settings.load({variable(name): told}), name) == field.default, name
        assert getattr(example, name) == field.default, name


def test_the_readme_lists_exactly_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    """Every word of the `attendant` command is in the README, and `--help` knows every word there."""
    with pytest.raises(SystemExit):
        main.main(["--help"])
    known = re.findall(r"^    (\w+)", capsys.readouterr().out, re.MULTILINE)

    assert sorted(re.findall(r"^\| `attendant (\w+)`", README, re.MULTILINE)) == sorted(known)


def test_slash_commands_and_shortcuts_are_documented() -> None:
    """What the manifest gives people to use stands in the README."""
    described = manifest.read(manifest.document())

    for name in [c.command for c in described.commands] + [s.name for s in described.shortcuts]:
        assert name in README, name


def test_every_module_is_in_the_reading_order() -> None:
    """The README's reading order names every module and folder of the package, and no other."""
    table = README.split("## How it is built")[1].split("\n## ")[0]
    told = {
        name.rstrip("/")
        for row in re.findall(r"^\|[^|]*\|([^|]*)\|", table, re.MULTILINE)
        for name in re.findall(r"`([\w/]+)`", row)
    }
    there = {path.stem for path in (ROOT / "bot").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}

    assert told == there - {"__init__", "__main__"}


@pytest.mark.parametrize(("document", "folder"), [("invariants.md", ""), ("faults.md", "tests/")])
def test_the_tests_that_the_documents_name_exist(document: str, folder: str) -> None:
    """Each test that docs/invariants.md or docs/faults.md refers to is a function in the file it names."""
    text = (ROOT / "docs" / document).read_text(encoding="utf-8")
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", text)

    assert len(named) > 5
    for file, function in named:
        assert f"def {function}(" in (ROOT / folder / file).read_text(encoding="utf-8"), (file, function)


def test_every_fault_names_its_test() -> None:
    """Each row of docs/faults.md ends with the test that shows what the person sees, and no test is named twice."""
    text = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| ")][1:]
    tests = [re.search(r"\| `([\w/.]+::\w+)` \|$", row) for row in rows]

    assert [row for row, test in zip(rows, tests, strict=True) if test is None] == []
    assert len({test[1] for test in tests if test}) == len(rows)


def test_links_in_the_documents_lead_somewhere() -> None:
    """A relative link or picture in any document is a file of the repository."""
    for document in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", document.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (document.parent / target).exists(), (document.name, target)


def test_nothing_is_left_for_later() -> None:
    """No file that is committed holds a note to finish it later."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    pattern = "TO" + "DO|FIX" + "ME|X" + "XX"
    found = subprocess.run([git, "grep", "-nIE", pattern, "--", "bot", "tests", "migrations", "bench"], cwd=ROOT,
                           capture_output=True, text=True, check=False)  # fmt: skip

    assert found.stdout == ""
