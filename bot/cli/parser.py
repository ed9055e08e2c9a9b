"""The words and flags of the `attendant` command.

Rule: nothing is imported here that `--help` does not need. A command is named by its module in bot/cli and its
function, which main.py imports.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from bot.domain.api_keys import NAME_CHARACTERS

MAX_PORT = 65_535


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line. Its result names the `command`, as `module:function`.

    `without_slack`: the command does not connect to Slack, so no token has to be set.
    """
    parser = argparse.ArgumentParser(
        prog="attendant",
        description="The support attendant that lives in Slack threads.",
        epilog="Settings are environment variables or lines in .env; the documentation lists them all.",
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    words = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def word(name: str, command: str, help_text: str) -> argparse.ArgumentParser:
        added = words.add_parser(name, help=help_text, description=f"{help_text[0].upper()}{help_text[1:]}.")
        added.set_defaults(command=command, without_slack=True)
        return added

    run = word("run", "run:run_command", "start the bot; the playground, when no Slack setting is set")
    run.set_defaults(without_slack=False)
    _add_variant(run)
    playground = word("playground", "run:run_command", "start the playground, whatever is set for Slack")
    playground.add_argument("--port", type=_port, help="the page's port, on 127.0.0.1 (default: PORT)")
    _add_variant(playground)
    word("chat", "chat:chat_command", "talk to the bot in the terminal")
    gateway = word("gateway", "run:gateway_command", "serve the OpenAI-compatible HTTP API, without Slack")
    gateway.add_argument("--port", type=_port, help="the port to listen on (default: GATEWAY_PORT, or else PORT)")
    _add_keys(words.add_parser("keys", help="create, list and revoke the keys of the HTTP API"))
    sessions = word("sessions", "admin:sessions_command", "list the open sessions, newest activity first")
    sessions.add_argument("--limit", type=_count, default=100, help="how many at most (default: 100)")
    _add_json(sessions)
    _add_json(word("status", "admin:status_command", "show what is owed, what runs, and the last day's turns"))
    _add_erase(word("erase", "admin:erase_command", "erase what people wrote, and the answers to it"))
    backup = word("backup", "backup:backup_command", "copy the SQLite database to a new file, beside a running bot")
    backup.add_argument("file", type=Path, metavar="FILE", help="it must not exist; only you will be able to read it")
    doctor = word("doctor", "doctor:doctor_command", "check tokens, scopes, socket, database and model, a line each")
    doctor.set_defaults(without_slack=False)
    live = "measure how Slack behaves, in this channel: posts at most 40 messages and deletes them, within two minutes"
    doctor.add_argument("--live", type=_channel, metavar="CHANNEL", help=live)
    _add_json(doctor)
    manifest = word("manifest", "app_manifest:manifest_command", "print the Slack app's manifest, with your commands")
    manifest.add_argument("--url", help="the address that Slack sends to, for HTTP instead of Socket Mode")
    return parser


class _Version(argparse.Action):
    """Prints the version. Only then is the package's description read, which takes a while."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version  # noqa: PLC0415 - see above

        sys.stdout.write(f"attendant {version('attendant')}\n")
        parser.exit()


def _add_keys(keys: argparse.ArgumentParser) -> None:
    words = keys.add_subparsers(title="commands", metavar="COMMAND", required=True)
    create = words.add_parser("create", help="create a key and show it, once")
    create.set_defaults(command="keys:create_command", without_slack=True)
    create.add_argument("name", type=_name, help="who or what it is for")
    create.add_argument("--days", type=_count, help="days that it is valid (default: until it is revoked)")
    create.add_argument("--requests-per-minute", type=_count, help="its own limit (default: the setting's)")
    create.add_argument("--tokens-per-minute", type=_tokens, help="its own limit (default: the setting's)")
    listing = words.add_parser("list", help="list the keys, without their secrets")
    listing.set_defaults(command="keys:list_command", without_slack=True)
    _add_json(listing)
    revoke = words.add_parser("revoke", help="refuse a key from now on")
    revoke.set_defaults(command="keys:revoke_command", without_slack=True)
    revoke.add_argument("id", help="as `attendant keys list` shows it")


def _add_erase(erase: argparse.ArgumentParser) -> None:
    for name, ids in (("workspace", "T…, or a key's id"), ("channel", "C…"), ("user", "U…, or a key's id")):
        erase.add_argument(f"--{name}", type=_text, metavar="ID", help=f"only what belongs to this {name} ({ids})")
    erase.epilog = "In the HTTP API workspace and user are the key's id, as `attendant keys list` shows it."
    erase.add_argument("--yes", action="store_true", help="do not ask")
    _add_json(erase)


def _add_variant(parser: argparse.ArgumentParser) -> None:
    help_text = "how the playground's Slack behaves: kind, or SWITCH=VALUE (docs/slack.md lists them)"
    parser.add_argument("--slack-variant", metavar="NAME[,NAME]", help=help_text)


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


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


def _channel(text: str) -> str:
    found = re.fullmatch(r"(?:https://\S+/archives/|<#)?([CDG][A-Z0-9]{6,64})(?:[/?|]\S*|>)?", text.strip())
    if found is None:
        raise argparse.ArgumentTypeError("is no channel: give its id (C…), from the end of its details, or its link")
    return found[1]


def _port(text: str) -> int:
    return _between(text, 0, MAX_PORT)


def _count(text: str) -> int:
    return _between(text, 1, 1_000_000)


def _tokens(text: str) -> int:
    return _between(text, 1, 999_999_999)


def _between(text: str, least: int, most: int) -> int:
    if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least} to {most}")
    return int(text)
