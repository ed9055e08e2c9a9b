"""Attendant: the support attendant that lives in Slack threads.

Reading order, which is also the import rule: errors, config, metrics, manifest, translations, domain, files, prompt,
llm, store, tools, access, turns, ops, services, testing, slack, gateway, playground, app, api, cli.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bot.api import Attendant

__all__ = ["Attendant"]


def __getattr__(name: str) -> object:
    """Load `Attendant` on first use."""
    if name == "Attendant":
        from bot.api import Attendant  # noqa: PLC0415 - the parts of a bot import one another one by one

        return Attendant
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
