"""Sentences about secrets that the bot removed from messages, in the form of bot/domain/texts.py."""

REMOVED = (
    "_(I removed what looked like a password, a key or a card number before I read and stored your message. "
    "Please delete it in Slack, too.)_"
)
