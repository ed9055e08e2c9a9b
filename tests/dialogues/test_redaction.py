"""Secrets that people paste by mistake: neither the database nor the model gets them, and the person is told once."""

from __future__ import annotations

import pytest
from openai import AsyncOpenAI

from bot.domain.redaction_texts import REMOVED
from bot.playground.workspace import forwarding
from tests.dialogues.test_forgetting import in_the_files
from tests.support.gateway_stage import GatewayStage
from tests.support.room import Room, Talk

TOKEN = f"ghp_{'a1B2c3D4e5F6' * 3}"
PLACEHOLDER = "[GitHub token removed]"


def written(room: Room) -> Talk:
    """Have Ana write a secret to the bot."""
    return room.guest("Ana").writes(f"why is {TOKEN} refused?")


def edited(room: Room) -> Talk:
    """Have Ana edit a secret into her question."""
    talk = room.guest("Ana").writes("why is it refused?")
    talk.edits(None, f"why is {TOKEN} refused?")
    return talk


def said_before(room: Room) -> Talk:
    """Have Ben write a secret in a thread into which Ana then calls the bot."""
    talk = room.guest("Ana").posts("who knows tokens?")
    talk.says(f"I use {TOKEN}", by=room.guest("Ben"))
    talk.says("@attendant what is wrong with it?")
    return talk


def forwarded(room: Room) -> Talk:
    """Have Ana forward a message with a secret."""
    ana, ben = room.guest("Ana"), room.guest("Ben")
    original = ben.posts(f"try {TOKEN}", "general").opening
    return ana.talk(forwarding.forward(room.workspace, ana.person, original, room.workspace.dm(ana.person), "why?"))


def shared(room: Room) -> Talk:
    """Have Ana share a file with a secret."""
    return room.guest("Ana").shares("why is it refused?", config_txt=f"token: {TOKEN}".encode())


@pytest.mark.parametrize("way", [written, edited, said_before, forwarded, shared])
async def test_a_secret_reaches_neither_the_model_nor_the_database(room: Room, way: object) -> None:
    """In every way that words come, the model reads a placeholder in place of the secret, and the files hold none."""
    assert callable(way)
    talk = way(room)
    await room.until(lambda: any(PLACEHOLDER in text for text in talk.texts()))
    await room.settled()

    assert PLACEHOLDER in str(room.model.requests[-1].body)
    assert all(TOKEN not in str(request.body) for request in room.model.requests)
    assert not in_the_files(room, TOKEN)
    assert talk.texts()[-1].endswith(REMOVED)


async def test_the_person_is_told_once(room: Room) -> None:
    """The first answer says that a secret was removed. Later answers in the conversation do not."""
    talk = written(room)
    (first,) = await talk.answers(1)
    talk.says(f"and {TOKEN[::-1]}{TOKEN}?")
    talk.says(f"and {TOKEN}?")
    *_, last = await talk.answers(2)

    assert first.endswith(f"\n\n{REMOVED}")
    assert PLACEHOLDER in last
    assert REMOVED not in last.removeprefix(first)


async def test_preferences_hold_no_secret(room: Room) -> None:
    """What a person writes about themselves passes the same way."""
    ana = room.guest("Ana")
    await ana.prefers(about=f"my token is {TOKEN}")

    assert PLACEHOLDER in await ana.opens_home()
    assert not in_the_files(room, TOKEN)


async def test_a_caller_of_the_api(gate: GatewayStage) -> None:
    """A secret in a request is replaced, with a session and without. The client's own history is recognised."""
    for session in ({}, {"sessionId": "one"}):
        async with AsyncOpenAI(
            api_key=gate.key, base_url=f"{gate.address}/v1", default_headers=session, max_retries=0
        ) as client:
            asked = {"role": "user", "content": f"why is {TOKEN} refused?"}
            first = await client.chat.completions.create(model="any", messages=[asked])  # type: ignore[list-item]
            said = {"role": "assistant", "content": first.choices[0].message.content}
            messages = [asked, said, {"role": "user", "content": "and now?"}]
            await client.chat.completions.create(model="any", messages=messages)  # type: ignore[arg-type]

        sent = gate.model.requests[-1].body["messages"]
        assert [message["content"] for message in sent if PLACEHOLDER in message["content"]][:1]
        assert [message["role"] for message in sent if message["role"] != "system"] == ["user", "assistant", "user"]
    assert all(TOKEN not in str(request.body) for request in gate.model.requests)
