"""The secret of the installation: created once, the same in all replicas. On both databases."""

from __future__ import annotations

import asyncio

from bot.store import installation, schema
from bot.store.engine import Store
from tests.store.test_schema import bare_url as bare_url  # noqa: PLC0414 - a fixture


async def test_replicas_that_start_at_once_share_one_secret(bare_url: str) -> None:
    """Each reads the same 32 random bytes, also later."""
    replicas = [Store(bare_url) for _ in range(3)]
    await asyncio.gather(*(replica.run(schema.upgrade) for replica in replicas))
    found = await asyncio.gather(*(replica.run(installation.secret) for replica in replicas))
    again = await replicas[0].run(installation.secret)
    for replica in replicas:
        await replica.close()

    assert {*found, again} == {again}
    assert len(again) == installation.SECRET_BYTES
