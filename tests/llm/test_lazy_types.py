"""The openai client's data types are imported when they are first used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(script: str) -> str:
    """Run a script in a process of its own, which has not imported openai, and return its output."""
    command = [sys.executable, "-c", f"import sys\nfrom bot.llm import lazy_types\n{script}"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def test_the_client_is_imported_without_its_types() -> None:
    """Importing the client and the resources that the bot uses does not import the types of other endpoints."""
    script = """
lazy_types.postpone()
import openai
client = openai.AsyncOpenAI(api_key="x")
client.models, client.chat.completions.with_streaming_response
print("openai.types.responses.response" in sys.modules, "openai.types.batch" in sys.modules)
"""
    assert run(script) == "False False"


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        ("from openai.types import Batch as found", "Batch"),
        ("from openai.types.responses import Response as found", "Response"),
        ("found = openai.types.responses.Response", "Response"),
        ("from openai.types.responses.response import Response as found", "Response"),
    ],
)
def test_types_are_imported_on_first_use(statement: str, name: str) -> None:
    """A type can be used in every way that Python allows."""
    script = f"lazy_types.postpone()\nimport openai\n{statement}\nprint(found.__name__)"

    assert run(script) == name


def test_a_second_thread_waits_until_they_are_loaded() -> None:
    """A thread that reads a type while another thread loads the package finds the type, too."""
    script = """
import threading
lazy_types.postpone()
import openai
loading, may_go_on, found = threading.Event(), threading.Event(), []

class SlowFinder:
    def find_spec(self, name, path=None, target=None):
        if name == "openai.types.batch":
            loading.set()
            may_go_on.wait()

def read():
    found.append(openai.types.Batch.__name__)

sys.meta_path.insert(0, SlowFinder())
first, second = threading.Thread(target=read), threading.Thread(target=read)
first.start()
loading.wait()
second.start()
second.join(0.2)  # without the wait it fails within this time
may_go_on.set()
first.join()
second.join()
print(found)
"""
    assert run(script) == "['Batch', 'Batch']"


def test_a_library_that_is_imported_already_is_left_alone() -> None:
    """A program that imported openai before the bot keeps its modules."""
    script = "import openai.types\nbefore = openai.types\nlazy_types.postpone()\n"

    assert run(f"{script}print(sys.modules['openai.types'] is before, type(before).__name__)") == "True module"
