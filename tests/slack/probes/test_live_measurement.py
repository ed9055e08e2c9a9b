"""The measurement of `attendant doctor --live`, in each variant of the playground's Slack."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, get_args, get_type_hints

import pytest
from slack_sdk.errors import SlackApiError

from bot.errors import StartupError
from bot.playground.playground_server import PlaygroundServer
from bot.playground.workspace.forwarding import forward
from bot.playground.workspace.messages import Message
from bot.playground.workspace.people import Channel
from bot.playground.workspace.slack_variant import KIND, SlackVariant
from bot.playground.workspace.workspace import Workspace
from bot.slack.behaviour import ALLOWED, SlackBehaviour
from bot.slack.client import open_client, without_retries
from bot.slack.probes import live_measurement
from bot.slack.probes.live_measurement import Findings, measure
from bot.slack.probes.probe_channel import kind_of, recipient_in
from bot.slack.probes.scratch_thread import MOST_MESSAGES, FullError, ScratchThread
from bot.slack.probes.surface_probes import FEEDBACK
from bot.slack.rate_limiter import RateLimiter
from bot.slack.startup_checks import identify
from tests.support.playground_stage import declare_agent, make_workspace, served
from tests.support.slack_stage import loop_clock, settings_of
from tests.support.slack_variants import VARIANTS
from tests.support.virtual_time import now

EPOCH = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
CHOICES = [
    (name, choice)
    for name, kind in get_type_hints(SlackVariant).items()
    for choice in get_args(kind)
    if name != "edits"
]
BEHIND_EDITS = {"streamed_update"}  # is not known where edits are refused
MESSAGES = ("chat.postMessage", "chat.startStream", "files.completeUploadExternal")


@dataclass
class Lab:
    """A served workspace, and a thread in one of its channels to measure in."""

    server: PlaygroundServer
    thread: ScratchThread
    channel: Channel
    kind: str
    began_at: float
    before: list[Message]

    @property
    def workspace(self) -> Workspace:
        return self.server.workspace

    async def findings(self) -> Findings:
        """Measure."""
        return await measure(self.thread, self.kind, lambda _: None)

    async def behaviour(self) -> SlackBehaviour:
        """Measure, and return the behaviour."""
        return (await self.findings()).measurement(self.kind, EPOCH).behaviour

    def messages(self) -> list[Message]:
        """Return the messages of the channel that did not stand there before."""
        return [each for each in self.workspace.transcript.of_channel(self.channel.id) if each not in self.before]

    def made(self) -> int:
        """Return how many messages the bot made."""
        return sum(self.server.calls.count(method) for method in MESSAGES)


@asynccontextmanager
async def lab(variant: SlackVariant | None = None, channel: str = "help-desk") -> AsyncIterator[Lab]:
    """Open a laboratory. Slack's rate limits hold."""
    began_at = now()
    workspace = make_workspace(lambda: EPOCH + timedelta(seconds=now()), variant)
    async with served(workspace) as server, open_client(settings_of(server)) as client:
        server.rate_limits.enforce()
        place = workspace.dm(workspace.person("ana")) if channel == "dm" else workspace.channel(channel)
        bot = await identify(client)
        thread = ScratchThread(without_retries(client), RateLimiter(loop_clock()), bot, place.id)
        thread.recipient = await recipient_in(client, bot, place.id)
        before = list(workspace.transcript.of_channel(place.id))
        yield Lab(server, thread, place, await kind_of(client, place.id), began_at, before)


def agrees(behaviour: SlackBehaviour, variant: SlackVariant, name: str) -> bool:
    """Return whether the measured behaviour is the switch's."""
    found, real = getattr(behaviour, name), getattr(variant, name)
    if name in BEHIND_EDITS and (variant.edits != ALLOWED or variant.stops != ALLOWED):
        return found is None
    if name == "stops" and variant.stream_seconds == 0:
        return found is None
    if name in {"long_stream", "stream_bytes"} and (variant.stops != ALLOWED or variant.stream_seconds == 0):
        return found is None
    if name == "stream_bytes":
        step = {"cut": 4, "refused": 1_001, "allowed": 0}[variant.long_stream]
        return found is None if not step else real - step < found <= real
    return bool(found == real)


@pytest.mark.parametrize("name", VARIANTS)
async def test_the_behaviour_is_the_variants(name: str) -> None:
    """In each variant the measurement tells the value of every switch, keeps the limits, and leaves nothing behind."""
    variant = VARIANTS[name]
    async with lab(variant) as slack:
        findings = await slack.findings()
        behaviour = findings.measurement(slack.kind, EPOCH).behaviour
        switches = [each.name for each in dataclasses.fields(SlackVariant) if each.name != "stream_seconds"]
        assert [switch for switch in switches if not agrees(behaviour, variant, switch)] == []
        assert behaviour.streams == {"channel": ALLOWED}
        assert behaviour.appends == ("message_not_in_streaming_state" if name == "expires_at_once" else ALLOWED)
        assert slack.made() <= MOST_MESSAGES
        assert slack.server.calls.refused() == []
        assert now() - slack.began_at < 120
        if name not in {"no_deletions", "user_not_found"}:
            assert (slack.messages(), findings.left) == ([], {})
        assert len({finding.tried for finding in findings.found}) == len(findings.found) > 15


@pytest.mark.parametrize(("switch", "choice"), CHOICES)
async def test_a_switch_is_told(switch: str, choice: str) -> None:
    """Each value of each switch, in a Slack that is kind otherwise, is told exactly."""
    variant = dataclasses.replace(KIND, **{switch: choice})  # type: ignore[arg-type] # one of the switch's values
    async with lab(variant) as slack:
        assert agrees(await slack.behaviour(), variant, switch)


async def test_what_is_left_is_told() -> None:
    """Where Slack deletes nothing, all of the messages stand in one thread, and the last finding says why."""
    async with lab(VARIANTS["no_deletions"]) as slack:
        findings = await slack.findings()
        assert {message.root for message in slack.messages()} == {slack.thread.root}
        assert set(findings.left) == {message.ts for message in slack.messages()}
        assert "compliance_exports_prevent_deletion" in findings.found[-1].did


async def test_a_stream_that_cannot_be_ended_is_the_only_one() -> None:
    """Where Slack refuses to end a stream, one such message is left, and no other stream is started."""
    async with lab(VARIANTS["user_not_found"]) as slack:
        findings = await slack.findings()
        assert [message.ts for message in slack.messages() if message.streaming_since] == list(findings.left)[:1]
        assert slack.server.calls.count("chat.startStream") == 1


@pytest.mark.parametrize(
    ("code", "known"),
    [
        ("channel_type_not_supported", {"channel": "channel_type_not_supported"}),
        ("missing_recipient_user_id", {}),
    ],
)
async def test_a_refused_stream_is_known_for_its_kind_of_conversation(code: str, known: dict[str, str]) -> None:
    """A refusal to stream counts for the kind that was measured. One for want of a recipient counts for nothing."""
    async with lab() as slack:
        slack.server.faults.refuse("chat.startStream", code)
        behaviour = await slack.behaviour()
        assert behaviour.streams == known
        assert behaviour.appends is None


async def test_direct_messages_are_a_kind_of_their_own() -> None:
    """The measurement works in direct messages, where the bot may not look up the channel."""
    async with lab(channel="dm") as slack:
        assert (await slack.behaviour()).streams == {"direct": ALLOWED}
        assert slack.messages() == []


@pytest.mark.parametrize("is_agent", [True, False])
async def test_the_status_is_that_of_the_app(*, is_agent: bool) -> None:
    """An agent has sessions, any other app has the status of a thread. None is left."""
    async with lab() as slack:
        if is_agent:
            declare_agent(slack.workspace)
        expected = "agents.sessions.setStatus" if is_agent else "assistant.threads.setStatus"
        assert (await slack.behaviour()).statuses == {"channel": expected}
        assert slack.workspace.statuses.in_channel(slack.channel) == {}


async def test_a_refused_status_is_told() -> None:
    """Where Slack refuses both, there is no status."""
    async with lab() as slack:
        slack.server.faults.refuse("assistant.threads.setStatus", "missing_scope")
        assert (await slack.behaviour()).statuses == {"channel": "none"}


async def test_reactions_and_feedback_buttons_are_told() -> None:
    """The behaviour has the outcome of a reaction and of feedback buttons."""
    async with lab() as slack:
        client = slack.thread._client  # noqa: SLF001 - to make the same calls
        root = slack.workspace.post(slack.workspace.person("ana"), slack.channel, "hello").ts
        behaviour = await slack.behaviour()

        async def outcome(**call: Any) -> str:
            try:
                await client.api_call(**call)
            except SlackApiError as error:
                return str(error.response["error"])
            return ALLOWED

        place = {"channel": slack.channel.id, "timestamp": root, "name": "eyes"}
        post = {"channel": slack.channel.id, "text": "x", "blocks": [FEEDBACK]}
        assert behaviour.reactions == await outcome(api_method="reactions.add", params=place)
        await slack.thread.clock.pause(1.0)  # Slack takes one message a second
        assert behaviour.feedback_buttons == await outcome(api_method="chat.postMessage", json=post)


async def test_a_forwarded_message_is_read_back() -> None:
    """A person forwards a message into the thread. The finding says where its content stands, and quotes nothing."""
    async with lab() as slack:
        measuring = asyncio.create_task(slack.findings())
        await slack.workspace.until(lambda: bool(slack.messages()))
        ana, general = slack.workspace.person("ana"), slack.workspace.channel("general")
        secret = slack.workspace.post(ana, general, "the secret plan")
        forwarded = forward(slack.workspace, ana, secret, general)
        content: dict[str, Any] = {"attachments": forwarded.attachments}
        slack.workspace.post(ana, slack.channel, "", slack.messages()[0].ts, **content)
        findings = await measuring

        document = findings.measurement(slack.kind, EPOCH).document()
        assert "text, message_blocks" in document["findings"]["a forwarded message"]
        assert f"{len('the secret plan')} characters" in document["findings"]["a forwarded message"]
        assert "plan" not in str(document)
        assert slack.channel.id not in str(document)


@pytest.mark.parametrize("method", ["chat.postMessage", "chat.startStream", "chat.appendStream", "chat.update"])
async def test_nothing_is_left_after_ctrl_c(method: str) -> None:
    """A measurement that is cancelled during a call deletes its messages, that of the running call as well."""
    async with lab() as slack:
        measuring = asyncio.create_task(slack.findings())
        await slack.workspace.until(lambda: slack.server.calls.count("chat.postMessage") > 0)
        held = slack.server.faults.hold(method, after=True)
        await slack.workspace.until(lambda: held.waiting > 0)
        measuring.cancel()
        held.release()
        with pytest.raises(asyncio.CancelledError):
            await measuring
        assert slack.messages() == []


async def test_nothing_is_left_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A measurement that breaks deletes its messages."""

    async def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(live_measurement, "_measure", broken)
    async with lab() as slack:
        with pytest.raises(RuntimeError):
            await slack.findings()
        assert slack.messages() == []


async def test_a_slow_slack_ends_the_measurement() -> None:
    """When a call hangs, the time ends the measurement. The findings so far count, and nothing is left."""
    async with lab() as slack:
        slack.server.faults.hold("chat.update")
        findings = await slack.findings()
        assert now() - slack.began_at < 120
        assert slack.messages() == []
        measurement = findings.measurement(slack.kind, EPOCH)
        assert measurement.behaviour.markdown_blocks == ALLOWED
        assert "the time" in measurement.findings


async def test_the_number_of_messages_is_bounded() -> None:
    """The thread refuses more messages than it may post, before it calls Slack."""
    async with lab() as slack:
        await slack.thread.open()
        for _ in range(MOST_MESSAGES - 1):
            await slack.thread.post(text="x")
        with pytest.raises(FullError):
            await slack.thread.post(text="x")
        assert slack.made() == MOST_MESSAGES
        assert await slack.thread.remove_all() == {}
        assert slack.messages() == []


async def test_a_channel_without_the_bot_is_an_error_with_its_remedy() -> None:
    """Nothing is measured where the bot may not post."""
    async with lab() as slack:
        slack.workspace.admin.remove_bot(slack.channel)
        with pytest.raises(StartupError, match="Invite the bot to the channel"):
            await slack.findings()
