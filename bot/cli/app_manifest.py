"""`attendant manifest`: the Slack app's manifest, with the command names of the settings."""

from __future__ import annotations

import argparse

from bot import manifest
from bot.config.settings import Settings


def manifest_command(settings: Settings, options: argparse.Namespace) -> int:
    """`attendant manifest`."""
    document = manifest.document(settings.slack_command, settings.slack_reset_command, options.url)
    print(manifest.as_yaml(document), end="")
    return 0
