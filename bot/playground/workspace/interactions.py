"""Interactions of people with the app: slash commands, shortcuts, buttons, modals, the Home tab, the Stop button.

Facts: docs.slack.dev/interactivity.
Rule: an interaction that Slack would not offer raises NotAllowed.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from bot.playground.workspace import block_kit, view_kit
from bot.playground.workspace.changes import (
    AgentSessionStopped,
    AppHomeOpened,
    MessageBlockAction,
    MessageShortcutInvoked,
    ResponseUrl,
    SlashCommandInvoked,
    ViewBlockAction,
    ViewSubmitted,
)
from bot.playground.workspace.messages import Json, Message
from bot.playground.workspace.people import Channel, Person
from bot.playground.workspace.rules import NotAllowed, require_member
from bot.playground.workspace.state import WorkspaceState
from bot.playground.workspace.surfaces import View, ViewKind

RESPONSE_URL_LIFETIME = timedelta(minutes=30)  # docs.slack.dev/interactivity/handling-user-interaction
_NO_BUTTON = "That button is no longer there."


class Interactions:
    """The actions of people in the app, except for messages. Each interaction is emitted as a change."""

    def __init__(self, state: WorkspaceState) -> None:
        self._state = state

    def command(
        self, person: Person, channel: Channel, command: str, text: str = "", thread_ts: str | None = None
    ) -> None:
        """Invoke a slash command. Slack refuses slash commands in threads.

        docs.slack.dev/interactivity/implementing-slash-commands
        """
        state = self._state
        self._require_member(person, channel)
        if thread_ts is not None:
            refusal = f"{command} is not supported in threads. Sorry!"
            state.show_ephemeral(person, channel, refusal, thread_ts=thread_ts)
        elif command not in {known.command for known in state.app.manifest.commands}:
            state.show_ephemeral(person, channel, f"{command} is not a valid command.")
        else:
            response_url = self._new_response_url(person, channel)
            trigger_id = self._new_trigger_id(person)
            state.emit(SlashCommandInvoked(person, channel, command, text, response_url, trigger_id))

    def shortcut(self, person: Person, message: Message, callback_id: str) -> None:
        """Invoke a message shortcut."""
        state, channel = self._state, self._state.channels[message.channel]
        self._require_member(person, channel)
        if callback_id not in {known.callback_id for known in state.app.manifest.shortcuts}:
            raise NotAllowed("There is no such shortcut.")
        response_url, trigger_id = self._new_response_url(person, channel), self._new_trigger_id(person)
        ts = state.new_ts()
        state.emit(MessageShortcutInvoked(person, channel, message, callback_id, response_url, trigger_id, ts))

    def press(
        self, person: Person, message: Message, action_id: str, value: str | None = None, block_id: str | None = None
    ) -> None:
        """Press the button with this action_id, and with this value and block_id where given, in a message."""
        state, channel = self._state, self._state.channels[message.channel]
        self._require_member(person, channel)
        matching = [
            (block, button)
            for block, button in block_kit.buttons(message.blocks)
            if button["action_id"] == action_id and value in {None, button.get("value")} and block_id in {None, block}
        ]
        if message.only_for not in {None, person.id} or not matching:
            raise NotAllowed(_NO_BUTTON)
        block, button = matching[0]
        response_url, trigger_id = self._new_response_url(person, channel, message), self._new_trigger_id(person)
        ts = state.new_ts()
        state.emit(MessageBlockAction(person, channel, message, block, button, response_url, trigger_id, ts))

    def open_home(self, person: Person) -> None:
        """Open the app's Home tab."""
        state = self._state
        if not state.app.manifest.has_home:
            raise NotAllowed("This app has no Home tab.")
        state.emit(AppHomeOpened(person, state.dm(person), state.new_ts()))

    def open_messages(self, person: Person) -> None:
        """Open the app's Messages tab: the direct messages with the app. Slack tells the app each time."""
        state = self._state
        state.emit(AppHomeOpened(person, state.dm(person), state.new_ts(), "messages"))

    def press_at_home(self, person: Person, action_id: str, view_id: str = "") -> None:
        """Press the button with this action_id in the Home tab."""
        view = self._shown_view(person, "home", view_id)
        block, button = _button(view, action_id)
        self._state.emit(
            ViewBlockAction(person, view, block, button, self._new_trigger_id(person), self._state.new_ts())
        )

    def submit(self, person: Person, given: Mapping[str, str], view_id: str = "") -> None:
        """Submit the person's modal. `given` maps block ids to input; other inputs keep their initial values."""
        view = self._shown_view(person, "modal", view_id)
        if errors := view_kit.input_errors(view.body, given):
            self._state.surfaces.show_errors(person, errors)
        else:
            values = view_kit.values(view.body, given)
            self._state.emit(ViewSubmitted(person, view, values, self._new_trigger_id(person)))

    def stop(self, person: Person, channel: Channel, thread_ts: str) -> None:
        """Press Slack's Stop button: Slack stops the app's streams in the thread and sends the app an event.

        The app has to clear the status itself (docs.slack.dev/reference/events/agent_session_stopped).
        """
        state = self._state
        self._require_member(person, channel)
        if not state.statuses.is_stoppable(channel, thread_ts):
            raise NotAllowed("There is nothing to stop any more.")
        streams = [m for m in state.transcript.thread(channel.id, thread_ts) if m.streaming_since]
        for message in streams:
            state.change(message, streaming_since=None, stopped=True)
        stopped = tuple(message.ts for message in streams)
        state.emit(AgentSessionStopped(person, channel, thread_ts, stopped, state.new_ts()))

    def _require_member(self, person: Person, channel: Channel) -> None:
        require_member(person, self._state.channels[channel.id])

    def _shown_view(self, person: Person, kind: ViewKind, view_id: str) -> View:
        view = self._state.surfaces.of(person, kind)
        if view is None or view_id not in {"", view.id}:
            raise NotAllowed("That is no longer there.")
        return view

    def _new_response_url(self, person: Person, channel: Channel, source: Message | None = None) -> ResponseUrl:
        state, now = self._state, self._state.clock()
        token = state.new_secret()
        state.response_urls = {
            token: url for token, url in state.response_urls.items() if now - url.at < RESPONSE_URL_LIFETIME
        }
        url = ResponseUrl(token, f"{state.address}/response/{token}", person, channel, source, now)
        state.response_urls[token] = url
        return url

    def _new_trigger_id(self, person: Person) -> str:
        state = self._state
        trigger_id = f"{state.new_ts().replace('.', '')}.{state.team.id}.{state.rng.getrandbits(64):016x}"
        state.surfaces.add_trigger(trigger_id, person)
        return trigger_id


def _button(view: View, action_id: str) -> tuple[str, Json]:
    buttons = block_kit.buttons(view.body["blocks"])
    try:
        return next((block, button) for block, button in buttons if button["action_id"] == action_id)
    except StopIteration:
        raise NotAllowed(_NO_BUTTON) from None
