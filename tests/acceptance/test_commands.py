"""The other words of the `attendant` command, each run as a process."""

from __future__ import annotations

from pathlib import Path

import yaml

from bot import manifest, wording
from bot.sessions import ResetOutcome
from tests.process import Process


async def test_chat_remembers_and_resets(tmp_path: Path) -> None:
    """In the terminal the bot knows what was said before, until `!reset`."""
    ended = await Process.run(tmp_path, {}, "chat", typed="my VPN is down\nstill down\n!reset\nhello again\n")

    output = "\n".join(ended.lines)
    assert ended.status == 0
    assert "stand-in" in ended.lines[0]
    assert "**2 earlier messages**" in output
    assert wording.reset(ResetOutcome.DONE) in output
    assert output.rindex("This is the first message") > output.index(wording.reset(ResetOutcome.DONE))


async def test_sessions_lists_without_words(tmp_path: Path) -> None:
    """An operator sees which conversations are open and how long they are, not what was said."""
    assert (await Process.run(tmp_path, {}, "sessions")).lines == ["No session is open."]
    await Process.run(tmp_path, {}, "chat", typed="my VPN is down\nstill down\n")

    ended = await Process.run(tmp_path, {}, "sessions")

    assert ended.status == 0
    assert len(ended.lines) == 1
    assert " 2 turns" in ended.lines[0]
    assert "VPN" not in ended.lines[0]


async def test_doctor_tells_what_is_fine(tmp_path: Path) -> None:
    """With nothing set, every check passes and says what will happen."""
    ended = await Process.run(tmp_path, {}, "doctor")

    assert ended.status == 0
    assert len(ended.lines) == 5
    assert all(line.startswith("ok") for line in ended.lines)


async def test_doctor_goes_on_after_a_failure(tmp_path: Path) -> None:
    """A refused database does not hide that the persona is missing, too; the exit status tells of both."""
    environ = {"DATABASE_URL": "postgresql://127.0.0.1:1/none", "PERSONA_FILE": "nowhere.md"}
    ended = await Process.run(tmp_path, environ, "doctor")

    assert ended.status == 1
    assert [line.split()[1] for line in ended.lines if line.startswith("FAILED")] == ["persona:", "database:"]


async def test_manifest_has_the_names_that_are_set(tmp_path: Path) -> None:
    """What is printed is YAML with the command names from the settings, and for HTTP with the address."""
    url = "https://attendant.example.com/slack/events"
    ended = await Process.run(tmp_path, {"SLACK_RESET_COMMAND": "/start-over"}, "manifest", "--url", url)

    made = yaml.safe_load("\n".join(ended.lines))
    assert made == manifest.document("/attendant", "/start-over", url)


async def test_help_names_every_command(tmp_path: Path) -> None:
    """`--help` is quick and lists the words with what they do."""
    ended = await Process.run(tmp_path, {}, "--help")

    assert ended.status == 0
    assert all(any(word in line for line in ended.lines) for word in ("run", "chat", "doctor", "manifest"))


async def test_status_tells_the_figures(tmp_path: Path) -> None:
    """After a conversation, `status` counts its turns, and owes nobody anything."""
    await Process.run(tmp_path, {}, "chat", typed="my VPN is down\nstill down\n")

    ended = await Process.run(tmp_path, {}, "status")

    assert ended.status == 0
    assert ended.lines[0].split()[:3] == ["owed", "0", "messages,"]
    assert "2 turns answered, 0 failed, 0 needed more than one attempt" in ended.lines[2]


async def test_keys_are_made_listed_and_revoked(tmp_path: Path) -> None:
    """A key is shown once; the list has its id, name, state and limits, and never its secret."""
    assert "no key" in (await Process.run(tmp_path, {}, "keys", "list")).lines[0]
    arguments = ("--days", "30", "--requests-per-minute", "5", "--tokens-per-minute", "700")
    made = await Process.run(tmp_path, {}, "keys", "create", "my website", *arguments)
    (text,) = [line for line in made.lines if line.startswith("sk-att-")]
    key_id, secret = text.split("-")[2:]
    listed = [(await Process.run(tmp_path, {}, "keys", "list")).lines]
    revoked = await Process.run(tmp_path, {}, "keys", "revoke", key_id)
    listed.append((await Process.run(tmp_path, {}, "keys", "list")).lines)

    for told in ("my website", "valid until", "5 requests a minute", "700 tokens a minute"):
        assert told in listed[0][0]
    assert (revoked.status, "revoked" in listed[1][0]) == (0, True)
    assert [lines[0].startswith(key_id) and secret not in lines[0] for lines in listed] == [True, True]
    assert (await Process.run(tmp_path, {}, "keys", "revoke", key_id)).status == 1
