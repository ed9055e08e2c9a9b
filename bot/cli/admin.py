"""The commands by which an operator reads and erases stored data, beside a running bot or without one."""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import sys
import time
from collections.abc import Callable
from typing import Any

from bot.cli import output
from bot.cli.output import Figure
from bot.config.settings import Settings
from bot.domain.sessions import OpenSession
from bot.errors import AttendantError
from bot.services import open_store, utc_now
from bot.store import closed_sessions, erasure, sessions, unserved
from bot.store.engine import Store
from bot.store.erasure import Erasable, Scope
from bot.store.metrics import WorkMetrics, figures

VACUUM_WAIT_S = 15.0  # for another process that uses the file
TAKEN_UP_WITHIN_S = 5.0  # a process that serves a workspace takes up a turn that is to be ended within a second or two
HELD_FOR_S = 35.0  # longer than the lease of a process that was killed
END_POLL_S = 0.3

IDS = (
    " (Ids are meant, as Slack has them: C0123456789, not #help-desk;"
    " of the HTTP API the workspace is a key's id, from: attendant keys list)"
)

_COLUMNS = ("last active", "turns", "opened", "workspace", "channel", "thread", "session")
_SLACK_TIMESTAMP_CHARACTERS, _UUID_PREFIX_CHARACTERS = 17, 8  # enough to recognise a thread, and a session


def sessions_command(settings: Settings, options: argparse.Namespace) -> int:
    """`attendant sessions`."""
    rows = [_row(session) for session in asyncio.run(open_sessions(settings, limit=options.limit))]
    if options.json:
        output.print_json(rows)
    elif not rows:
        print("No session is open.", file=sys.stderr)
    elif output.is_terminal():
        count = f"{len(rows)} open session{'s' * (len(rows) > 1)}"
        output.print_table([_for_person(row) for row in rows], _COLUMNS, title=count, wrapped=["last active", "opened"])
    else:
        output.print_lines(rows)
    return 0


def status_command(settings: Settings, options: argparse.Namespace) -> int:
    """`attendant status`."""
    metrics = asyncio.run(status(settings))
    values = {**dataclasses.asdict(metrics), "oldest_owed_seconds": round(metrics.oldest_owed_seconds)}
    values["unserved_workspaces"] = ",".join(metrics.unserved_workspaces)
    if options.json:
        output.print_json(values)
    elif output.is_terminal():
        output.print_figures(_figures(metrics))
    else:
        output.print_lines([{"name": name, "value": value} for name, value in values.items()])
    return 0


def erase_command(settings: Settings, options: argparse.Namespace) -> int:
    """`attendant erase`."""
    scope = Scope(workspace=options.workspace, channel=options.channel, person=options.user)
    if scope == Scope():
        raise AttendantError("Say what to erase: --workspace, --channel, --user, or several, which must all match.")
    agreed = options.yes or _agrees(scope, asyncio.run(erasable(settings, scope)), quiet=options.json)
    erased = asyncio.run(_erase_with_progress(settings, scope)) if agreed else 0
    if options.json:
        output.print_json({"erased_messages": erased, "confirmed": agreed})
    else:
        print(f"Erased {erased} messages.{IDS if erased == 0 else ''}" if agreed else "Nothing was erased.")
    return 0 if agreed else 1


async def open_sessions(settings: Settings, limit: int) -> list[OpenSession]:
    """Return the open sessions of everybody, newest activity first."""
    async with open_store(settings, must_exist=True) as store:
        return await store.run(sessions.newest, limit=limit)


async def status(settings: Settings) -> WorkMetrics:
    """Return the metrics of all replicas together: now, and over the last day."""
    async with open_store(settings, must_exist=True) as store:
        return await figures(store, now=utc_now())


async def erasable(settings: Settings, scope: Scope) -> Erasable:
    """Return how much the scope holds."""
    async with open_store(settings, must_exist=True) as store:
        return await store.run(erasure.count, scope)


async def erase(
    settings: Settings,
    scope: Scope,
    *,
    advance: Callable[[int], object] = lambda _: None,
    wait_s: float = VACUUM_WAIT_S,
) -> int:
    """Erase all messages in scope; return how many.

    `advance` is called with the number of messages after each transaction. Raises AttendantError when another process
    uses the file for longer than `wait_s`, so that erased words may be left in it.
    """
    async with open_store(settings, must_exist=True) as store:
        total = 0
        while erased := await store.run(erasure.erase, scope, now=utc_now()):
            total += erased
            advance(erased)
        await _end_turns(store, scope)
        progress = None
        while progress := await store.run(closed_sessions.erase_next, progress):
            pass
        if not await store.vacuum_now(lock_timeout_s=wait_s):
            raise AttendantError(
                f"Erased {total} messages, but the database's file could not be cleaned: another process is busy "
                "with it, and their words may still be found in its bytes. Run the same command again."
            )
        return total


async def _end_turns(store: Store, scope: Scope) -> None:
    """End the running turns of which nothing is left, or wait until the processes that hold them have ended them.

    A process that serves the workspace also removes what it has shown of the answer. So it is given some time.
    """
    began = time.monotonic()
    while True:
        free, held = await store.run(unserved.erased, scope, now=utc_now())
        waited = time.monotonic() - began
        if free and waited >= TAKEN_UP_WITHIN_S:
            await store.run(unserved.settle, free, now=utc_now())
        elif not (free or held) or waited >= HELD_FOR_S:
            return
        await asyncio.sleep(END_POLL_S)


async def _erase_with_progress(settings: Settings, scope: Scope) -> int:
    with output.progress("Erasing", (await erasable(settings, scope)).messages) as advance:
        return await erase(settings, scope, advance=advance)


def _agrees(scope: Scope, found: Erasable, *, quiet: bool) -> bool:
    """Ask on the terminal whether to erase. With `quiet` the question leaves standard output alone."""
    if not sys.stdin.isatty():
        raise AttendantError("Nobody is there to confirm. Add --yes to erase without being asked.")
    more = ", and preferences" if scope.channel is None else ""
    question = f"Erase {found.messages} messages in {found.sessions} conversations, what was answered to them{more}?"
    print(f"{question} [y/N] ", end="", flush=True, file=sys.stderr if quiet else sys.stdout)
    return sys.stdin.readline().strip().casefold() in {"y", "yes"}


def _row(session: OpenSession) -> dict[str, Any]:
    thread = session.thread
    return {
        "id": session.id,
        "platform": thread.platform,
        "workspace": thread.workspace,
        "channel": thread.channel,
        "root": thread.root,
        "turns": session.turns,
        "opened_at": session.opened_at,
        "last_active_at": session.last_active_at,
    }


def _for_person(row: dict[str, Any]) -> dict[str, Any]:
    now = utc_now()
    return {
        **row,
        "last active": output.ago(row["last_active_at"], now),
        "opened": output.ago(row["opened_at"], now),
        "thread": _short(row["root"], _SLACK_TIMESTAMP_CHARACTERS),
        "session": _short(row["id"], _UUID_PREFIX_CHARACTERS),
    }


def _unserved(metrics: WorkMetrics) -> list[Figure]:
    """Return the line about messages that will get no answer, if there are any."""
    if not metrics.unserved_messages:
        return []
    places = ", ".join(metrics.unserved_workspaces)
    words = f"of them wait where no process answers: start the bot for {places}, or attendant erase --workspace ID"
    return [Figure(metrics.unserved_messages, words, alert=True)]


def _short(text: str, characters: int) -> str:
    return text if len(text) <= characters else f"{text[:characters]}…"


def _figures(metrics: WorkMetrics) -> dict[str, list[Figure]]:
    oldest = f", the oldest for {metrics.oldest_owed_seconds:.0f} s" if metrics.owed_messages else ""
    cached = metrics.cached_tokens / metrics.prompt_tokens if metrics.prompt_tokens else 0
    return {
        "Now, in all replicas": [
            Figure(metrics.owed_messages, f"messages wait for an answer{oldest}"),
            *_unserved(metrics),
            Figure(metrics.running_turns, "turns run"),
            Figure(metrics.open_sessions, "sessions are open"),
        ],
        "In the last 24 hours": [
            Figure(metrics.answered_turns, "turns were answered"),
            Figure(metrics.failed_turns, "turns failed", alert=True),
            Figure(metrics.taken_over_turns, "turns needed more than one attempt", alert=True),
            Figure(metrics.failed_deliveries, "deliveries could not be stored; Slack repeats them", alert=True),
            Figure(metrics.prompt_tokens, f"prompt tokens, {cached:.0%} of them from the model's cache"),
        ],
    }
