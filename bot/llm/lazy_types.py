"""The openai client's import, without the thousand data types that the bot never uses.

`import openai` imports `openai.types` and `openai.types.responses`, which build pydantic models for every endpoint of
the API: half of the import's time and memory. The bot sends and reads plain JSON. The two packages are put in place
unloaded, and load when somebody reads an attribute of them, so other users of the library are not affected.
"""

from __future__ import annotations

import importlib.util
import sys
import threading
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

PACKAGES = ("openai.types", "openai.types.responses")


class LazyPackage(ModuleType):
    """A package whose `__init__` runs when the first of its attributes is read. Its submodules import as usual.

    Other threads that read an attribute meanwhile wait until it has run.
    """

    _lock: ClassVar = threading.RLock()  # of all packages, because they import each other
    _loading: ClassVar[set[str]] = set()  # by the thread that holds the lock

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # the import system asks for these; they are no reason to load
            raise AttributeError(name)
        with LazyPackage._lock:
            if type(self) is LazyPackage:  # no other thread has loaded it since
                self._load(name)
        return getattr(self, name)

    def _load(self, name: str) -> None:
        """Run the package's `__init__`. Raises AttributeError for an attribute that it reads before it sets it."""
        if self.__name__ in LazyPackage._loading:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        LazyPackage._loading.add(self.__name__)
        try:
            if self.__spec__ is not None and self.__spec__.loader is not None:
                self.__spec__.loader.exec_module(self)
            object.__setattr__(self, "__class__", ModuleType)
        finally:
            LazyPackage._loading.discard(self.__name__)


def postpone() -> None:
    """Put the packages in place unloaded. Call it before the first `import openai`; later it does nothing."""
    if "openai" in sys.modules:
        return
    for name in PACKAGES:
        if (spec := _spec(name)) is not None:  # another version of the library may have arranged its types otherwise
            package = importlib.util.module_from_spec(spec)
            object.__setattr__(package, "__class__", LazyPackage)
            sys.modules[name] = package
            parent, _, last = name.rpartition(".")
            if parent in sys.modules:  # as the import system does it
                setattr(sys.modules[parent], last, package)


def _spec(name: str) -> ModuleSpec | None:
    """Find a package below openai without importing its parent package."""
    top = importlib.util.find_spec("openai")
    folders = list(top.submodule_search_locations or ()) if top is not None else []
    for part in name.split(".")[1:]:
        folders = [f"{folder}/{part}" for folder in folders]
    files = [file for folder in folders if Path(file := f"{folder}/__init__.py").exists()]
    return importlib.util.spec_from_file_location(name, files[0], submodule_search_locations=folders) if files else None
