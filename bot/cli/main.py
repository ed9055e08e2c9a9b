"""The `attendant` command: arguments in, exit status out.

Rule: the arguments are parsed before anything else is imported, so that `--help` and a mistyped word answer at once.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import logging
import os
import sys
from collections.abc import Callable, Sequence

from bot.cli.parser import make_parser
from bot.errors import AttendantError

INTERRUPTED = 130  # the exit status by which a shell reports Ctrl+C
UNREAD = 141  # and a command that writes into a closed pipe

log = logging.getLogger(__name__)

Command = Callable[..., int]  # the settings and the arguments, to an exit status


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Return its exit status: 0, or 1 after a line for each failure."""
    options = make_parser().parse_args(arguments)
    try:
        status = _run(options)
        sys.stdout.flush()
    except AttendantError as error:
        print(f"attendant: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # of `| head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter's exit would complain
        return UNREAD
    return status


def _run(options: argparse.Namespace) -> int:
    gc.disable()  # imports free almost no memory, and collecting garbage would take a fifth of their time
    try:
        from bot.config.settings import ENV_FILE, Settings, doubtful_names  # noqa: PLC0415 - `--help` needs none
        from bot.ops import logs  # noqa: PLC0415

        environ = os.environ
        settings = Settings.load(environ, ENV_FILE, without_slack=options.without_slack)
        logs.set_up(settings.log_level, settings.log_format)
        for name, setting in doubtful_names(environ, ENV_FILE).items():
            log.warning("variable_ignored", extra={"variable": name, "similar_setting": setting})
        command = load(options.command)
    finally:
        gc.freeze()  # else the first collection would walk through all of them
        gc.enable()
    return command(settings, options)


def load(name: str) -> Command:
    """Import a command by its `module:function`."""
    module, _, function = name.partition(":")
    command: Command = getattr(importlib.import_module(f"bot.cli.{module}"), function)
    return command
