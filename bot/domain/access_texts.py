"""Sentences for people whom the bot does not answer, in the form of bot/domain/texts.py."""

from __future__ import annotations

REFUSED = "I'm not set up to answer you. If you need my help, please ask the person who runs me."
REFUSED_CHANNEL = "I'm not set up to answer in this channel. Please ask me in another one."
REFUSED_GUEST = "I only answer members of this workspace, not guests. Please ask your contact here to ask me."
REFUSED_EXTERNAL = "I can't answer people of other organisations here. Please ask your contact in this workspace."
TRY_AGAIN = "I couldn't find out just now whether I may answer you. Please try again in a minute."
ACCESS_TITLE = "No access"  # of a modal: Slack allows 24 characters
