"""Redaction: secrets in what people write are replaced before anything is stored or shown to the model.

Rule: pure, and the same for the same text, so that a client that sends its history again is recognised. A placeholder
names the kind of secret, so that the model can answer sensibly. The message in Slack keeps it: only its author can
delete it there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial

from bot.access import redaction_patterns
from bot.access.secret_shapes import CARD, IBAN, SHAPES, Shape
from bot.config.settings import Settings
from bot.domain.events import Event, Forwarded, MessageDeleted, MessageEdited, MessageReceived

_PLACEHOLDER = "[{} removed]"


class Redactor:
    """Replaces secrets by placeholders."""

    def __init__(self, shapes: Sequence[Shape]) -> None:
        self._shapes = shapes
        labels = "|".join(re.escape(label) for label in dict.fromkeys(shape.label for shape in shapes))
        self._placeholders = re.compile(re.escape(_PLACEHOLDER).replace(re.escape("{}"), f"(?:{labels})"))

    @classmethod
    def from_settings(cls, settings: Settings) -> Redactor:
        """Return the redactor of these settings. Raises ConfigError for a file of patterns that cannot be used."""
        file = settings.redaction_patterns_file
        return cls.of(
            enabled=settings.redaction == "on",
            ibans=settings.redaction_ibans == "on",
            patterns=redaction_patterns.load(file) if file is not None else (),
        )

    @classmethod
    def of(
        cls, *, enabled: bool = True, ibans: bool = False, patterns: Iterable[tuple[str, re.Pattern[str]]] = ()
    ) -> Redactor:
        """Return the redactor that the settings ask for. `patterns` are the operator's, with their labels."""
        own = [Shape(label, pattern) for label, pattern in patterns]
        return cls([*SHAPES, CARD, *[IBAN] * ibans, *own] if enabled else ())

    def text(self, text: str) -> str:
        """Return the text with a placeholder for each secret."""
        for shape in self._shapes:
            if not shape.hints or any(hint in text for hint in shape.hints):
                text = shape.pattern.sub(partial(_replaced, shape), text)
        return text

    def event(self, event: Event) -> Event:
        """Return the event without secrets in what its author wrote or passes on."""
        match event:
            case MessageReceived():
                return self._message(event)
            case MessageEdited():
                return replace(event, message=self._message(event.message))
            case MessageDeleted(message=MessageReceived() as message):
                return replace(event, message=self._message(message))
            case _:
                return event

    def forwarded(self, messages: Sequence[Forwarded]) -> tuple[Forwarded, ...]:
        """Return the messages that somebody passes on without secrets."""
        return tuple(replace(each, text=self.text(each.text)) for each in messages)

    def has_placeholder(self, texts: Iterable[str]) -> bool:
        """Return whether a secret was removed from one of these texts."""
        return bool(self._shapes) and any("removed]" in text and self._placeholders.search(text) for text in texts)

    def _message(self, message: MessageReceived) -> MessageReceived:
        return replace(message, text=self.text(message.text), forwarded=self.forwarded(message.forwarded))


DEFAULT_REDACTOR = Redactor.of()


def _replaced(shape: Shape, match: re.Match[str]) -> str:
    whole = match.group()
    group = "secret" if "secret" in shape.pattern.groupindex else 0
    if not shape.is_real(match.group(group)):
        return whole
    begin, end = (place - match.start() for place in match.span(group))
    return f"{whole[:begin]}{_PLACEHOLDER.format(shape.label)}{whole[end:]}"
