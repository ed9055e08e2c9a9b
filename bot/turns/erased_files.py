"""Erased files: deletes the files of answers that were erased, on the platform that shows them.

Rule: several processes may do it at once. A file that is gone already is deleted.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from bot.errors import PlatformError, PlatformUnavailable
from bot.store import answer_files
from bot.store.engine import Store
from bot.turns.adapter import Adapter

log = logging.getLogger(__name__)

BATCH = 20  # files that are deleted one after the other


class ErasedFiles:
    """Deletes files on the platforms of some adapters."""

    def __init__(self, store: Store, adapters: Sequence[Adapter]) -> None:
        self._store = store
        self._adapters = {(adapter.platform, adapter.workspace): adapter for adapter in adapters}

    async def delete(self) -> None:
        """Delete the files that are due. A platform that cannot be reached is tried again in the next run."""
        for file in await self._store.run(answer_files.doomed, list(self._adapters), batch=BATCH):
            try:
                await self._adapters[file.platform, file.workspace].delete_file(file.file_id)
            except PlatformUnavailable as error:
                log.warning("erased_files_postponed", extra={"error": str(error)})
                return
            except PlatformError as error:
                log.warning("answer_file_not_removed", extra={"file": file.file_id, "error": str(error)})
            await self._store.run(answer_files.remove, [(file.turn_id, file.file_id)])
