"""Redaction of the log records that slack_bolt and slack_sdk write.

Those libraries log whole payloads, tokens and signatures. The bot's own log lines never hold any of these.
"""

from __future__ import annotations

import logging
import re


def redacting_logger(name: str) -> logging.Logger:
    """Return the library's logger of that name, with redaction switched on."""
    logger = logging.getLogger(name)
    logger.setLevel(logging.WARNING)  # INFO and DEBUG print whole payloads
    if not any(isinstance(existing, _RedactionFilter) for existing in logger.filters):
        logger.addFilter(_RedactionFilter())
    return logger


class _RedactionFilter(logging.Filter):
    """Cuts a record down to its first line, without secrets and without the exception, which may quote a payload."""

    _SECRET = re.compile(r"xox[a-z]-[\w-]+|xapp-[\w-]+|v0=[0-9a-f]{8,}|\?[^\s'\"]+")
    _MAX_CHARACTERS = 200

    def filter(self, record: logging.LogRecord) -> bool:
        """Redact the record. Drop Bolt's warning that `authorize` replaces the token, which is intended."""
        message = record.getMessage()
        if message.startswith("As ") and "token" in message:
            return False
        record.msg, record.args = self._SECRET.sub("…", message.partition("\n")[0])[: self._MAX_CHARACTERS], ()
        record.exc_info, record.exc_text = None, None
        return True
