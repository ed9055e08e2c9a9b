"""The sample workspace: Harbour & Co, a small company with a help desk."""

from __future__ import annotations

import dataclasses
import random
import secrets
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

from bot.manifest import Manifest
from bot.playground.workspace.messages import Message
from bot.playground.workspace.people import App, Channel, Person, Team
from bot.playground.workspace.workspace import Workspace

_TEAM = Team("T0HARBOUR", "Harbour & Co", "harbour-and-co")
_PEOPLE = (
    Person("U0ANASILVA", "ana", "Ana Silva", _TEAM.id, "Accounts", "b0475b", "Europe/Lisbon"),
    Person("U0BENOKAFO", "ben", "Ben Okafor", _TEAM.id, "Warehouse", "2f6f9f"),
    Person("U0CHIDINWO", "chidi", "Chidi Nwosu", _TEAM.id, "IT", "3c7a4e"),
    Person("U0DALIAHAD", "dalia", "Dalia Haddad", _TEAM.id, "People & Culture", "8a5a1f"),
    Person("U0EMMAVOGE", "emma", "Emma Vogel", _TEAM.id, "Sales", "6a4fa5", "Europe/Berlin", "de-DE"),
)
# Fields of a message by a workflow that people built: the bot of an app that Slack makes for it.
WORKFLOW = {"bot_id": "B0ONBOARD0", "app_id": "A0ONBOARD0", "username": "Onboarding"}
_SMALL_TALK = (
    (190, 1, "Morning all. The north gate is open again, deliveries can come in as usual."),
    (174, 3, "Thank you, Ben! And a reminder: the summer lunch is on Thursday, on the quay if the weather holds."),
    (171, 0, "Count me in. I'll bring the lemon cake."),
    (96, 2, "The Wi-Fi in the meeting rooms gets its update at six tonight. Expect ten quiet minutes."),
)


def harbour(
    manifest: Manifest,
    *,
    clock: Callable[[], datetime],
    rng: random.Random,
    new_secret: Callable[[], str] = secrets.token_hex,
    app: App | None = None,
    team_id: str = _TEAM.id,
    **more: Any,
) -> Workspace:
    """Return the sample workspace with an app installed. `more` are arguments of WorkspaceState.

    Without `app`, an app with this manifest is installed. `new_secret` generates tokens and response URLs.
    """
    app = app or install(manifest, new_secret)
    team = dataclasses.replace(_TEAM, id=team_id)
    people = [dataclasses.replace(person, team=team_id) for person in _PEOPLE]
    workspace = Workspace(team, app, people, _channels(app), clock=clock, rng=rng, new_secret=new_secret, **more)
    general = workspace.channel("general")
    for minutes_ago, author, text in _SMALL_TALK:
        ts = workspace.transcript.new_ts(clock() - timedelta(minutes=minutes_ago))
        stored = workspace.stored_text(text)
        workspace.transcript.put(Message(channel=general.id, ts=ts, user=_PEOPLE[author].id, text=stored))
    return workspace


def install(manifest: Manifest, new_secret: Callable[[], str]) -> App:
    """Return the app as Slack installs it, with every scope of its manifest granted."""
    return App(
        id="A0ATTENDANT",
        user_id="U0ATTENDANT",
        bot_id="B0ATTENDANT",
        manifest=manifest,
        scopes=manifest.scopes,
        bot_token=f"xoxb-{new_secret()}",
        app_token=f"xapp-{new_secret()}",
        signing_secret=new_secret(),
        verification_token=new_secret(),
    )


def _channels(app: App) -> Iterator[Channel]:
    everyone = frozenset(person.id for person in _PEOPLE)
    with_bot = everyone | {app.user_id}
    yield Channel(
        "C0HELPDESK", "help-desk", "channel", with_bot, "Ask anything: IT, HR, facilities. The attendant helps."
    )
    yield Channel("C0GENERAL0", "general", "channel", with_bot, "News for everybody")
    it_team = frozenset({"U0ANASILVA", "U0CHIDINWO", app.user_id})
    yield Channel("C0ITTEAM00", "it-team", "private", it_team, "Behind the scenes")
    for person in _PEOPLE:
        yield Channel(f"D0{person.id[2:]}", f"dm-{person.name}", "im", frozenset({person.id, app.user_id}))
