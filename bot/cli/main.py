"""The `attendant` command: what each word does, and how failures are told."""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import os
import sys
from collections.abc import Callable, Sequence

from bot import manifest
from bot.cli import admin, chat, doctor, run
from bot.cli import keys as keyring
from bot.config.settings import ENV_FILE, Settings
from bot.domain.api_keys import NAME_CHARACTERS
from bot.errors import AttendantError
from bot.ops import logs
from bot.store.erasure import Erasable, Scope

UNREAD = 141  # as a shell reports a command whose output nobody reads any more


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status: 0, or 1 after one line for each thing that is wrong."""
    options = _parser().parse_args(arguments)
    try:
        settings = Settings.load(os.environ, ENV_FILE, without_slack=options.command not in _MEETS_SLACK)
        logs.set_up(settings.log_level, settings.log_format)
        command: Callable[[Settings, argparse.Namespace], int] = options.command
        status = command(settings, options)
        sys.stdout.flush()
    except AttendantError as error:
        print(f"attendant: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130  # as a shell reports an interrupted command
    except BrokenPipeError:  # of `| head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else its end would complain again
        return UNREAD
    return status


def _run(settings: Settings, options: argparse.Namespace) -> int:
    del options
    return asyncio.run(run.run(settings, announce=_announce))


def _playground(settings: Settings, options: argparse.Namespace) -> int:
    if options.port is not None:
        settings = dataclasses.replace(settings, port=options.port)
    return asyncio.run(run.run(settings, announce=_announce))


def _chat(settings: Settings, options: argparse.Namespace) -> int:
    del options
    logs.set_up("warning", settings.log_format)  # the conversation is what the terminal is for
    return asyncio.run(chat.chat(settings, announce=_announce))


def _gateway(settings: Settings, options: argparse.Namespace) -> int:
    if options.port is not None:
        settings = dataclasses.replace(settings, gateway_port=options.port)
    return asyncio.run(run.run(settings, announce=_announce, gateway=True))


def _create_key(settings: Settings, options: argparse.Namespace) -> int:
    made = keyring.create(
        settings,
        options.name,
        days=options.days,
        requests_per_minute=options.requests_per_minute,
        tokens_per_minute=options.tokens_per_minute,
    )
    print(asyncio.run(made))
    print("Keep it now: it is not shown again, and only its hash is stored.", file=sys.stderr)
    return 0


def _list_keys(settings: Settings, options: argparse.Namespace) -> int:
    del options
    print(
        "\n".join(asyncio.run(keyring.lines(settings))) or "There is no key. Make one with: attendant keys create NAME"
    )
    return 0


def _revoke_key(settings: Settings, options: argparse.Namespace) -> int:
    if not asyncio.run(keyring.revoke(settings, options.id)):
        print(f"attendant: there is no usable key {options.id!r}. List them with: attendant keys list", file=sys.stderr)
        return 1
    print(f"The key {options.id} is refused from now on.")
    return 0


def _sessions(settings: Settings, options: argparse.Namespace) -> int:
    found = asyncio.run(admin.open_sessions(settings, limit=options.limit))
    for session in found:
        active, opened = (
            moment.isoformat(timespec="minutes") for moment in (session.last_active_at, session.opened_at)
        )
        print(f"{session.id}  active {active}  opened {opened}  {session.turns:>4} turns  {session.thread}")
    if not found:
        print("No session is open.")
    return 0


def _status(settings: Settings, options: argparse.Namespace) -> int:
    del options
    found = asyncio.run(admin.status(settings))
    print(f"owed     {found.owed_messages} messages, the oldest for {found.oldest_owed_seconds:.0f} s")
    print(f"running  {found.running_turns} turns, in {found.open_sessions} open sessions")
    print(
        f"24 hours {found.answered_turns} turns answered, {found.failed_turns} failed, "
        f"{found.taken_over_turns} needed more than one attempt; {found.refused_deliveries} deliveries refused"
    )
    share = f", {found.cached_tokens / found.prompt_tokens:.0%} of them cached" if found.prompt_tokens else ""
    print(f"model    {found.prompt_tokens} prompt tokens{share}")
    return 0


def _erase(settings: Settings, options: argparse.Namespace) -> int:
    scope = Scope(workspace=options.workspace, channel=options.channel, person=options.user)
    if scope == Scope():
        raise AttendantError("Say what to erase: --workspace, --channel, --user, or several, which must all match.")

    def confirmed(found: Erasable) -> bool:
        more = ", and preferences" if scope.channel is None else ""
        question = (
            f"Erase {found.messages} messages in {found.sessions} conversations, what was answered to them{more}?"
        )
        return options.yes or _agrees(f"{question} [y/N] ")

    erased = asyncio.run(admin.erase(settings, scope, confirmed=confirmed))
    print("Nothing was erased." if erased is None else f"Erased {erased} messages.{IDS if erased == 0 else ''}")
    return 0 if erased is not None else 1


IDS = (
    " (Ids are meant, as Slack has them: C0123456789, not #help-desk;"
    " of the HTTP API the workspace is a key's id, from: attendant keys list)"
)


def _agrees(question: str) -> bool:
    if not sys.stdin.isatty():
        raise AttendantError("Nobody is there to confirm. Add --yes to erase without being asked.")
    print(question, end="", flush=True)
    return sys.stdin.readline().strip().casefold() in {"y", "yes"}


def _doctor(settings: Settings, options: argparse.Namespace) -> int:
    del options
    return 1 if asyncio.run(_examine(settings)) else 0


async def _examine(settings: Settings) -> int:
    failures = 0
    for check in doctor.ALL:
        found = await doctor.outcome(check, settings)
        failures += not found.passed
        print(f"{'ok    ' if found.passed else 'FAILED'}  {check.name}: {found.line}")
    return failures


def _manifest(settings: Settings, options: argparse.Namespace) -> int:
    made = manifest.document(settings.slack_command, settings.slack_reset_command, options.url)
    print(manifest.as_yaml(made), end="")
    return 0


_MEETS_SLACK = {_run, _doctor}


def _text(text: str) -> str:
    if not text.strip():  # a shell's variable that was not set
        raise argparse.ArgumentTypeError("is empty")
    return text.strip()


def _name(text: str) -> str:
    if len(name := _text(text)) > NAME_CHARACTERS:
        raise argparse.ArgumentTypeError(f"is longer than {NAME_CHARACTERS} characters")
    if not name.isprintable():
        raise argparse.ArgumentTypeError("holds characters that cannot be shown")
    return name


def _announce(line: str) -> None:
    print(line, flush=True)


def _port(text: str) -> int:
    return _between(text, 0, 65_535)


def _count(text: str) -> int:
    return _between(text, 1, 1_000_000)


def _most_tokens(text: str) -> int:
    return _between(text, 1, 999_999_999)


def _between(text: str, least: int, most: int) -> int:
    if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least} to {most}")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="attendant",
        description="The support attendant that lives in Slack threads.",
        epilog="Settings are environment variables or lines in .env; the README lists them all.",
    )
    words = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def word(name: str, command: Callable[[Settings, argparse.Namespace], int], what: str) -> argparse.ArgumentParser:
        added = words.add_parser(name, help=what, description=f"{what[0].upper()}{what[1:]}.")
        added.set_defaults(command=command)
        return added

    word("run", _run, "start the bot; the playground, when no Slack setting is set")
    playground = word("playground", _playground, "start the playground, whatever is set for Slack")
    playground.add_argument("--port", type=_port, help="where the page is, on 127.0.0.1 (default: PORT)")
    word("chat", _chat, "talk to the bot in the terminal")
    gateway = word("gateway", _gateway, "serve the OpenAI-compatible HTTP API, without Slack")
    gateway.add_argument("--port", type=_port, help="where to listen (default: GATEWAY_PORT, or else PORT)")
    _add_keys(words.add_parser("keys", help="create, list and revoke the keys of the HTTP API"))
    sessions = word("sessions", _sessions, "list the open sessions, newest activity first, without their words")
    sessions.add_argument("--limit", type=_count, default=100, help="how many at the most (default: 100)")
    word("status", _status, "tell what is owed, what runs, and what became of the last day's turns")
    erase = word("erase", _erase, "erase what people wrote, and the answers to it, from the database")
    for name, what in (("workspace", "T…, or a key's id"), ("channel", "C…"), ("user", "U…, or a key's id")):
        erase.add_argument(f"--{name}", type=_text, metavar="ID", help=f"only what is of this {name} ({what})")
    erase.epilog = "In the HTTP API workspace and user are the key's id, as `attendant keys list` shows it."
    erase.add_argument("--yes", action="store_true", help="do not ask")
    word("doctor", _doctor, "check tokens, scopes, socket, database and model, a line each")
    manifests = word("manifest", _manifest, "print the Slack app's manifest with your command names")
    manifests.add_argument("--url", help="the address Slack shall send to, for HTTP instead of Socket Mode")
    return parser


def _add_keys(keys: argparse.ArgumentParser) -> None:
    words = keys.add_subparsers(title="commands", metavar="COMMAND", required=True)
    create = words.add_parser("create", help="make a key and show it, once")
    create.set_defaults(command=_create_key)
    create.add_argument("name", type=_name, help="who or what it is for")
    create.add_argument("--days", type=_count, help="for how many days it is valid (default: until it is revoked)")
    create.add_argument("--requests-per-minute", type=_count, help="its own limit (default: the setting's)")
    create.add_argument("--tokens-per-minute", type=_most_tokens, help="its own limit (default: the setting's)")
    words.add_parser("list", help="list the keys, without their secrets").set_defaults(command=_list_keys)
    revoke = words.add_parser("revoke", help="refuse a key from now on")
    revoke.set_defaults(command=_revoke_key)
    revoke.add_argument("id", help="as `attendant keys list` shows it")
