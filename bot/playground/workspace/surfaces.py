"""What the app shows to one person outside of messages: their Home tab, and at most one modal.

Facts: docs.slack.dev/surfaces/app-home, docs.slack.dev/surfaces/modals, docs.slack.dev/interactivity (trigger_id).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from bot.playground.workspace.messages import Json
from bot.playground.workspace.people import Person

TRIGGER_LIFETIME = timedelta(seconds=3)

Kind = Literal["home", "modal"]


@dataclass(frozen=True, slots=True)
class View:
    """A view as one person sees it. `errors` are sentences below its inputs, by their block."""

    id: str
    kind: Kind
    body: Json  # as the app sent it, with ids
    errors: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ViewShown:
    """A person sees this view from now on; None: their modal is closed."""

    person: Person
    kind: Kind
    view: View | None


class Surfaces:
    """Everybody's views, and the triggers with which the app may open one."""

    def __init__(self, emit: Callable[[ViewShown], None], clock: Callable[[], datetime]) -> None:
        self._emit = emit
        self._clock = clock
        self._shown: dict[tuple[str, Kind], View] = {}  # by person
        self._triggers: dict[str, tuple[Person, datetime, bool]] = {}  # whose, since when, and whether it was used

    def of(self, person: Person, kind: Kind) -> View | None:
        """What this person sees, None where there is nothing."""
        return self._shown.get((person.id, kind))

    def show(self, person: Person, view: View) -> None:
        """Show this view, instead of the one of its kind that was there."""
        self._shown[person.id, view.kind] = view
        self._emit(ViewShown(person, view.kind, view))

    def close(self, person: Person) -> None:
        """Close the person's modal."""
        if self._shown.pop((person.id, "modal"), None):
            self._emit(ViewShown(person, "modal", None))

    def complain(self, person: Person, errors: Mapping[str, str]) -> None:
        """Leave the person's modal open, with these sentences in it."""
        if view := self.of(person, "modal"):
            self.show(person, dataclasses.replace(view, errors=dict(errors)))

    def holder(self, view_id: str) -> tuple[str, View] | None:
        """Who sees the view of this id, by their id, and the view."""
        return next(((person, view) for (person, _), view in self._shown.items() if view.id == view_id), None)

    def arm(self, trigger_id: str, person: Person) -> None:
        """A gesture of this person may be answered with a modal, once and for three seconds."""
        now = self._clock()
        self._triggers = {key: kept for key, kept in self._triggers.items() if now - kept[1] <= 10 * TRIGGER_LIFETIME}
        self._triggers[trigger_id] = person, now, False

    def spend(self, trigger_id: str) -> Person | str:
        """Whose gesture this trigger is of; Slack's error when no modal can be opened with it."""
        if trigger_id not in self._triggers:
            return "invalid_trigger_id"
        person, since, used = self._triggers[trigger_id]
        if used:
            return "exchanged_trigger_id"
        if self._clock() - since > TRIGGER_LIFETIME:
            return "expired_trigger_id"
        self._triggers[trigger_id] = person, since, True
        return person
