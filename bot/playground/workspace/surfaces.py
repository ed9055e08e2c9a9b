"""The views that the app shows to one person: a Home tab and at most one modal.

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

ViewKind = Literal["home", "modal"]


@dataclass(frozen=True, slots=True)
class View:
    """A view as one person sees it. `errors` maps block ids to the sentences below their inputs."""

    id: str
    kind: ViewKind
    body: Json  # as the app sent it, with the ids that Slack adds
    errors: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ViewShown:
    """A view was shown to a person, or with None their modal was closed."""

    person: Person
    kind: ViewKind
    view: View | None


class Surfaces:
    """The views of all people, and the trigger_ids with which the app may open modals."""

    def __init__(self, emit: Callable[[ViewShown], None], clock: Callable[[], datetime]) -> None:
        self._emit = emit
        self._clock = clock
        self._shown: dict[tuple[str, ViewKind], View] = {}  # by person id and kind
        self._triggers: dict[str, tuple[Person, datetime, bool]] = {}  # person, time of issue, whether it was used

    def of(self, person: Person, kind: ViewKind) -> View | None:
        """Return the view that a person sees, or None."""
        return self._shown.get((person.id, kind))

    def show(self, person: Person, view: View) -> None:
        """Show a view in place of the person's current view of its kind."""
        self._shown[person.id, view.kind] = view
        self._emit(ViewShown(person, view.kind, view))

    def close(self, person: Person) -> None:
        """Close the person's modal."""
        if self._shown.pop((person.id, "modal"), None):
            self._emit(ViewShown(person, "modal", None))

    def show_errors(self, person: Person, errors: Mapping[str, str]) -> None:
        """Keep the person's modal open and show these errors in it."""
        if view := self.of(person, "modal"):
            self.show(person, dataclasses.replace(view, errors=dict(errors)))

    def find(self, view_id: str) -> tuple[str, View] | None:
        """Return the id of the person who sees this view, and the view. None when no person sees it."""
        return next(((person, view) for (person, _), view in self._shown.items() if view.id == view_id), None)

    def add_trigger(self, trigger_id: str, person: Person) -> None:
        """Let the app open a modal for this person, once and within three seconds."""
        now = self._clock()
        oldest = now - 10 * TRIGGER_LIFETIME  # an expired trigger_id has an error of its own for a while
        self._triggers = {id_: trigger for id_, trigger in self._triggers.items() if trigger[1] >= oldest}
        self._triggers[trigger_id] = person, now, False

    def use_trigger(self, trigger_id: str) -> Person | str:
        """Use a trigger_id up. Return its person, or Slack's error when it cannot open a modal."""
        if trigger_id not in self._triggers:
            return "invalid_trigger_id"
        person, issued_at, used = self._triggers[trigger_id]
        if used:
            return "exchanged_trigger_id"
        if self._clock() - issued_at > TRIGGER_LIFETIME:
            return "expired_trigger_id"
        self._triggers[trigger_id] = person, issued_at, True
        return person
