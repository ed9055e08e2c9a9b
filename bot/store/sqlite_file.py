"""The bytes of a SQLite file: find and overwrite copies of erased text that no statement can reach.

`PRAGMA secure_delete` overwrites deleted rows and freed pages with zeros. SQLite also moves rows between pages, and
leaves copies in the unallocated parts of b-tree pages (https://sqlite.org/fileformat2.html#b_tree_pages).

Rule: bytes are overwritten only while the write-ahead log is empty and this process holds the write lock. Then no
process writes to the file, and SQLite reads no meaning in these bytes.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from struct import unpack_from
from typing import Self

_HEADER_BYTES = 100
_PAGE_HEADER_BYTES = {2: 12, 5: 12, 10: 8, 13: 8}  # by the type of a b-tree page
_POINTER_MAP_ENTRY_BYTES = 5
# The first byte of an overflow page belongs to a page number. In larger files it could look like the type of a page.
_MOST_PAGES = 2 << 24


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A database file that a store has opened."""

    path: Path
    descriptor: int


_users: Counter[OpenFile] = Counter()  # how many stores have opened a file
_lock = threading.Lock()


def acquire(path: Path) -> OpenFile:
    """Open the file. Create it if it is missing, with its folder, for this user only.

    All stores of this process share a descriptor. Closing any descriptor of a file drops the locks that SQLite holds on
    it for this process (https://sqlite.org/howtocorrupt.html, 2.2), so it stays open until the last store is closed.
    """
    with _lock:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        known = (file for file in _users if path.exists() and os.path.samestat(path.stat(), os.fstat(file.descriptor)))
        file = next(known, None) or OpenFile(path, os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        _users[file] += 1
        return file


def release(file: OpenFile) -> None:
    """Close the file for a store, which has closed its connections."""
    with _lock:
        _users[file] -= 1
        if not _users[file]:
            del _users[file]
            os.close(file.descriptor)


@dataclass(frozen=True, slots=True)
class SqliteFile:
    """A database file and its layout."""

    descriptor: int
    page_bytes: int
    usable_bytes: int  # of a page
    pages: int
    has_pointer_map: bool

    @classmethod
    def read(cls, descriptor: int) -> Self:
        """Read the layout from the file's header (https://sqlite.org/fileformat2.html#the_database_header)."""
        header = os.pread(descriptor, _HEADER_BYTES, 0)
        (page_bytes,) = unpack_from(">H", header, 16)
        page_bytes = 65_536 if page_bytes == 1 else page_bytes
        (largest_root,) = unpack_from(">I", header, 52)  # 0 without auto_vacuum
        pages = min(os.fstat(descriptor).st_size // page_bytes, _MOST_PAGES)
        return cls(descriptor, page_bytes, page_bytes - header[20], pages, largest_root > 0)

    def pages_with_remains(self, first: int, count: int) -> list[int]:
        """Return those of `count` pages from the page `first` on that hold old bytes, as their numbers from 1 on."""
        block = os.pread(self.descriptor, count * self.page_bytes, (first - 1) * self.page_bytes)
        found = []
        for number, at in enumerate(range(0, len(block), self.page_bytes), first):
            if self._remains(block[at : at + self.page_bytes], number):
                found.append(number)
        return found

    def overwrite(self, numbers: Sequence[int]) -> None:
        """Overwrite the old bytes of these pages with zeros."""
        for number in numbers:
            at = (number - 1) * self.page_bytes
            for start, end in self._remains(os.pread(self.descriptor, self.page_bytes, at), number):
                os.pwrite(self.descriptor, bytes(end - start), at + start)

    def _remains(self, page: bytes, number: int) -> list[tuple[int, int]]:
        """Return the unallocated ranges of the page that are not zero."""
        entries = self.usable_bytes // _POINTER_MAP_ENTRY_BYTES
        if self.has_pointer_map and (number - 2) % (entries + 1) == 0:
            return []
        ranges = _unallocated(page, _HEADER_BYTES if number == 1 else 0, self.usable_bytes)
        return [(start, end) for start, end in ranges if page[start:end] != bytes(end - start)]


def _unallocated(page: bytes, header: int, usable: int) -> list[tuple[int, int]]:
    """Return the ranges of a b-tree page in which no row is; none for any other page."""
    if len(page) < usable or page[header] not in _PAGE_HEADER_BYTES:
        return []
    free_block, cells, content = unpack_from(">HHH", page, header + 1)
    content = content or 65_536
    gap = header + _PAGE_HEADER_BYTES[page[header]] + 2 * cells
    if not gap <= content <= usable:
        return []
    ranges = [(gap, content)]
    while free_block:
        following, length = unpack_from(">HH", page, free_block) if content <= free_block <= usable - 4 else (0, 0)
        end = free_block + length
        if length < 4 or end > usable or 0 < following < end:  # noqa: PLR2004 - its own head
            return []
        ranges.append((free_block + 4, end))
        free_block = following
    return ranges
