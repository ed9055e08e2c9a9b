"""Files that people share with the bot: what it reads, what it says of the others, and what it forgets."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import io
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from PIL import Image

from bot.domain import file_texts, texts
from bot.domain.sessions import Interrupted
from bot.playground.web_api.files import LOGIN_PAGE
from bot.playground.workspace.file_sharing import delete_file, upload
from bot.playground.workspace.forwarding import forward
from bot.playground.workspace.messages import Edit
from bot.prompt.marks import FORWARDED_ENDS, NO_IMAGES
from bot.slack.outbound import file_downloads
from bot.turns.file_reader import IMAGE_TURNS, MOST_FILES
from tests.dialogues.test_forgetting import WAYS, Way, by_edit, in_the_files
from tests.support import sample_files
from tests.support.openai_server import Fails, says
from tests.support.room import Room, Talk, images_in, shown
from tests.support.sample_files import LINE

COLOURFUL = sample_files.noise()
PAGE = f"<html><body><p>{LINE}</p></body></html>"
READ = {
    "notes_txt": LINE.encode(),
    "notes_md": LINE.encode(),
    "codes_csv": LINE.encode(),
    "codes_json": LINE.encode(),
    "gate_log": LINE.encode(),
    "gate_py": LINE.encode(),
    "gate_html": PAGE.encode(),
    "gate_pdf": sample_files.pdf(LINE),
}
UNREAD = {
    "budget_xlsx": (b"PK\x03\x04" + bytes(100), "I can't open this kind of file"),
    "secret_pdf": (sample_files.encrypted_pdf(LINE, "secret"), "it's protected by a password"),
    "scan_pdf": (sample_files.pdf(""), "I found no text in it"),
    "half_pdf": (sample_files.pdf(LINE)[:60], "it seems to be damaged"),
    "bomb_png": (sample_files.bomb(), "it's too large for me"),
}


@pytest.mark.parametrize("name", READ)
async def test_a_text_is_read(room: Room, name: str) -> None:
    """The model reads the text of a file, whatever its kind, between marks that say whose it is."""
    talk = room.guest("Ana").shares("what is the code?", files={name: READ[name]})
    (answer,) = await talk.answers(1)
    [asked] = shown(room.model.requests[-1])

    assert LINE in answer
    assert asked.startswith("what is the code?\n[Until “end of the file”: the text of the attached file ")
    assert asked.endswith(f"\n\n  {LINE}\n\n[end of the file]")


async def test_a_file_without_words_is_read(room: Room) -> None:
    """A file that comes without a comment is a question, too."""
    (answer,) = await room.guest("Ana").shares("", notes_txt=LINE.encode()).answers(1)

    assert LINE in answer


@pytest.mark.parametrize("name", UNREAD)
async def test_an_unread_file_is_named(room: Room, name: str) -> None:
    """A file that cannot be read is named in one honest line of the bot's own, and the model is told why."""
    data, reason = UNREAD[name]
    (answer,) = await room.guest("Ana").shares("what is the code?", files={name: data}).answers(1)

    shown_name = name.replace("_", ".")
    assert answer.endswith(f"\n\n_(I haven't read `{shown_name}` ({reason}).)_")
    assert f"[attached, and not visible to you: {shown_name} (" in shown(room.model.requests[-1])[0]


async def test_an_image_is_shown_to_the_model(room: Room) -> None:
    """An image goes to the model as a small JPEG, with the words around it."""
    room.model.script(says("Red."))
    await room.guest("Ana").shares("what colour?", screen_png=sample_files.png(3_000, 10)).reads("Red.")
    [address] = images_in(room.model.requests[-1])

    assert address.startswith("data:image/jpeg;base64,")
    with Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))) as image:
        assert image.size == (1_568, 5)
    assert "what colour?\n[attached image, shown to you: screen.png" in shown(room.model.requests[-1])[0]


async def test_a_model_without_eyes(room: Room) -> None:
    """A backend that refuses images gets the words alone, and a line says so. It is not asked with images again."""
    refusal = {"message": "image_url is only supported by certain models.", "param": "messages.[1].content.[1].type"}
    room.model.script(Fails(400, refusal), says("No idea."), says("Still none."))
    talk = room.guest("Ana").shares("what colour?", screen_png=sample_files.png())
    await talk.reads(f"No idea.\n\n{file_texts.IMAGES_UNSEEN}")
    talk.says("and now?")
    await talk.answers(2)

    assert [len(images_in(request)) for request in room.model.requests] == [1, 0, 0]
    assert NO_IMAGES in shown(room.model.requests[1])[0]
    assert "because you cannot look at images]" in shown(room.model.requests[2])[0]
    assert kept_images(room) == []


async def test_without_the_scope(room: Room) -> None:
    """Where the workspace has not granted files:read, one line says so, and nothing is downloaded."""
    app = room.workspace.app
    room.workspace.app = dataclasses.replace(app, scopes=app.scopes - {"files:read"})
    (answer,) = await room.guest("Ana").shares("what is the code?", notes_txt=LINE.encode()).answers(1)

    assert answer.endswith("I'm not allowed to open files here; the person who runs me can change that).)_")
    assert room.server.files.downloads == []


REFUSED: dict[str, dict[str, Any]] = {
    "a foreign host": {"url_private_download": "https://files.slack.com.evil.example/F1"},
    "no encryption": {"url_private_download": "http://files.slack.com/F1"},
    "a password in the URL": {"url_private_download": "https://files.slack.com@evil.example/F1"},
    "no URL": {"url_private_download": "", "url_private": ""},
    "a file beyond the plan's limit": {"mode": "hidden_by_limit"},
    "a file of another workspace": {"file_access": "access_denied"},
}


@pytest.mark.parametrize("why", REFUSED)
async def test_a_file_that_is_not_shared(room: Room, why: str) -> None:
    """The token goes nowhere but to Slack's hosts. A file that Slack does not share is named."""
    answer = await answered(room, **REFUSED[why])

    assert answer.endswith("_(I haven't read `notes.txt` (Slack doesn't let me open it).)_")
    assert room.server.files.downloads == []


async def test_a_file_of_another_service(room: Room) -> None:
    """A file that Slack only links to is not downloaded."""
    answer = await answered(room, is_external=True, url_private="https://drive.example.com/x")

    assert answer.endswith("_(I haven't read `notes.txt` (it's stored outside of Slack).)_")


async def test_a_gigabyte_is_not_downloaded(room: Room) -> None:
    """A file that Slack describes as too large is not downloaded."""
    answer = await answered(room, size=1_000_000_000)

    assert answer.endswith("_(I haven't read `notes.txt` (it's too large for me).)_")
    assert room.server.files.downloads == []


@pytest.mark.parametrize("room_settings", [{"max_file_mb": 1}])
async def test_more_bytes_than_announced(room: Room) -> None:
    """A download ends where it exceeds the limit, whatever length was announced."""
    room.server.files.instead = endless

    assert (await answered(room)).endswith("_(I haven't read `notes.txt` (it's too large for me).)_")


@pytest.mark.parametrize("mimetype", ["text/plain", "text/html"])
async def test_a_login_page_is_no_file(room: Room, mimetype: str) -> None:
    """Slack's login page, which comes with status 200, is not taken for the file, not even for a page."""
    room.server.files.instead = login_page
    answer = await answered(room, mimetype=mimetype)

    assert answer.endswith("_(I haven't read `notes.txt` (Slack doesn't let me open it).)_")
    assert "Sign in" not in str(room.model.requests[-1].body)


async def test_a_redirect_is_not_followed(room: Room) -> None:
    """A redirect, by which Slack leads to its login page, gets no second request."""
    room.server.files.instead = redirect

    assert (await answered(room)).endswith("_(I haven't read `notes.txt` (Slack doesn't let me open it).)_")
    assert len(room.server.files.downloads) == 1


async def test_a_download_that_never_ends(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """A download takes half a minute at most."""
    monkeypatch.setattr(file_downloads, "DOWNLOAD_S", 0.2)
    room.server.files.instead = silence

    assert (await answered(room)).endswith("_(I haven't read `notes.txt` (it took me too long).)_")


async def test_a_server_error_is_tried_again(room: Room) -> None:
    """A download that fails for a moment is tried again, and else named with the advice to send it again."""
    failures = [1]

    async def once(_: web.Request) -> web.Response:
        if failures and failures.pop():
            return web.Response(status=503)
        return web.Response(text=LINE, content_type="text/plain")

    room.server.files.instead = once
    assert LINE in await answered(room)

    failures.extend([1, 1])
    assert (await answered(room)).endswith("I couldn't download it just now; please send it again).)_")


async def test_a_file_of_a_shared_channel(room: Room) -> None:
    """In a channel that is shared with another organisation a message has only the file's id. The file is read."""
    file = upload(room.workspace, "notes.txt", LINE.encode())
    bare = {"id": file["id"], "mode": "file_access", "file_access": "check_file_info"}
    ana = room.guest("Ana")
    message = room.workspace.post(ana.person, room.workspace.dm(ana.person), "?", subtype="file_share", files=(bare,))
    (answer,) = await ana.talk(message).answers(1)

    assert LINE in answer


async def test_a_file_is_read_once(room: Room) -> None:
    """Later turns of the conversation know the file from the database, and Slack is not asked again."""
    talk = room.guest("Ana").shares("what is the code?", notes_txt=LINE.encode())
    await talk.answers(1)
    talk.says("and again?")
    answers = await talk.answers(2)

    assert answers[1].count(LINE) == 2  # the file, and the first answer
    assert len(room.server.files.downloads) == 1


async def test_another_attempt_needs_no_slack(room: Room) -> None:
    """An answer that restarts knows the file from the database."""
    hold = room.hold_model("a first")
    talk = room.guest("Ana").shares("what is the code?", notes_txt=LINE.encode())
    await hold.reached()
    talk.edits(None, "what is the code, please?")
    await room.until(lambda: len(talk.texts()) == 1 and "please?" in talk.texts()[0])
    (answer,) = await talk.answers(1)

    assert LINE in answer
    assert len(room.server.files.downloads) == 1


async def test_a_file_before_the_call_is_read(room: Room) -> None:
    """Files in a thread into which the bot is called are read, too."""
    ana, ben = room.guest("Ana"), room.guest("Ben")
    room.model.script(says("It is a code."))
    talk = ben.shares("the codes", "help-desk", notes_txt=LINE.encode())
    talk.says("@attendant what does this say?", by=ana)
    await talk.reads("It is a code.")

    assert LINE in shown(room.model.requests[-1])[0]
    talk.deletes()
    await room.acknowledged()
    await room.services.scheduler.vacuum()
    assert not in_the_files(room, LINE)


async def test_a_forwarded_file_is_read(room: Room) -> None:
    """A file in a forwarded message is read, too, and is shown as a part of that message."""
    ana, ben = room.guest("Ana"), room.guest("Ben")
    original = ben.shares("the codes", "general", notes_txt=LINE.encode()).opening
    passed_on = forward(room.workspace, ana.person, original, room.workspace.dm(ana.person), "what does it say?")
    (answer,) = await ana.talk(passed_on).answers(1)

    assert LINE in answer
    assert FORWARDED_ENDS in answer.partition(LINE)[2]


async def test_a_stop_ends_the_reading(room: Room) -> None:
    """While a file is being downloaded, a stop ends the turn at once."""
    reached = asyncio.Event()

    async def waits(request: web.Request) -> web.StreamResponse:
        reached.set()
        return await silence(request)

    room.server.files.instead = waits
    talk = room.guest("Ana").shares("what is the code?", notes_txt=LINE.encode())
    await reached.wait()
    talk.says("!stop")

    await talk.reads(texts.interrupted(Interrupted.STOPPED))
    assert not room.model.requests


async def test_many_files(room: Room) -> None:
    """Of many files at once a few are read, and the others are named in one line."""
    files = {f"n{number}_txt": f"{LINE} {number}".encode() for number in range(MOST_FILES + 2)}
    (answer,) = await room.guest("Ana").shares("read these", files=files).answers(1)

    assert answer.count(LINE) == MOST_FILES
    assert answer.endswith("`n8.txt` and `n9.txt` (that's more files than I read at once).)_")


@pytest.mark.parametrize("room_settings", [{"max_file_characters": 1_000}])
async def test_a_long_file_is_read_in_part(room: Room) -> None:
    """Of a long file the beginning is read, and a line says so."""
    (answer,) = await room.guest("Ana").shares("read this", notes_txt=b"word " * 1_000).answers(1)

    assert answer.endswith("\n\n_(I've read only the beginning of `notes.txt`.)_")
    assert "of which you are shown only the beginning" in shown(room.model.requests[-1])[0]


async def test_a_file_that_fills_the_budget(room: Room) -> None:
    """A file is cut between its own marks where it exceeds the budget, and a line says so."""
    room.model.script(says("Rhubarb."))
    talk = room.guest("Ana").shares("what is the last word?", notes_txt=b"word " * 9_000 + b"rhubarb")
    await talk.reads(f"Rhubarb.\n\n{file_texts.FILES_CUT}")
    asked = shown(room.model.requests[-1])[0]

    assert asked.startswith("what is the last word?\n[Until")
    assert asked.endswith("rhubarb\n\n[end of the file]")
    assert len(asked) < 12_000 * 4


async def test_images_are_shown_for_a_few_turns(room: Room) -> None:
    """An image is shown for some further turns. Then it is dropped from the request, and from the database."""
    talk = room.guest("Ana").shares("what colour?", screen_png=sample_files.png())
    await talk.answers(1)
    for number in range(IMAGE_TURNS + 1):
        talk.says(f"and {number}?")
        await talk.answers(number + 2)

    counts = [len(images_in(request)) for request in room.model.requests]
    assert counts == [1] * (1 + IMAGE_TURNS) + [0]
    assert "because you were shown this image earlier]" in shown(room.model.requests[-1])[0]
    with closing(sqlite3.connect(room.database)) as database:
        assert database.execute("SELECT image, outcome FROM file_contents").fetchall() == [(None, "dropped")]


async def by_deleting_the_file(room: Room, talk: Talk) -> None:
    delete_file(room.workspace, talk.opening.files[0]["id"])
    await room.acknowledged()


async def by_removing_the_file(room: Room, talk: Talk) -> None:
    room.workspace.change(talk.opening, files=(), edited=Edit(talk.person.id, room.workspace.new_ts()))
    await room.acknowledged()


FILE_WAYS = [*(way for way in WAYS if way is not by_edit), by_deleting_the_file, by_removing_the_file]


@pytest.mark.parametrize("way", FILE_WAYS)
async def test_a_file_is_forgotten(room: Room, way: Way) -> None:
    """What was read of a file is in no byte of the database's files after its message or itself is forgotten."""
    room.model.script(says("Thank you."))
    talk = room.guest("Ana").shares("@attendant keep this", "help-desk", notes_txt=LINE.encode(), a_png=COLOURFUL)
    await talk.answers(1)
    await room.settled()
    [image] = kept_images(room)
    assert in_the_files(room, LINE)

    await way(room, talk)
    await room.services.scheduler.vacuum()

    assert not in_the_files(room, LINE)
    if way != by_deleting_the_file:
        assert not any(image[100:200] in part for part in bytes_of(room))


async def test_a_deleted_file_restarts_its_answer(room: Room) -> None:
    """A file that is deleted while its question is answered is not used: the answer starts again without it."""
    hold = room.hold_model("a first")
    talk = room.guest("Ana").shares("what is the code?", notes_txt=LINE.encode())
    await hold.reached()
    delete_file(room.workspace, talk.opening.files[0]["id"])
    await talk.reads("I was shown: what is the code?")

    assert LINE not in str(room.model.requests[-1].body)


async def test_an_export_holds_the_text(room: Room) -> None:
    """A person's export holds the text that was read of their files."""
    ana = room.guest("Ana")
    await ana.shares("@attendant keep this", "help-desk", notes_txt=LINE.encode(), a_png=COLOURFUL).answers(1)
    dm = room.workspace.dm(ana.person)
    await ana.commands("/attendant", "export")
    await room.until(lambda: any(message.files for message in room.workspace.app_messages(dm)))
    sent = room.workspace.app_messages(dm)[-1].files[0]["id"]
    document = json.loads(room.workspace.uploads[sent].content or b"")

    assert [file["text"] for file in document["messages"][0]["attachments"]] == [LINE, None]


async def answered(room: Room, **fields: Any) -> str:
    """Share a text file, of which files.info has these fields, and return the answer."""
    ana = room.guest("Ana")
    file = upload(room.workspace, "notes.txt", LINE.encode(), **fields)
    message = room.workspace.post(ana.person, room.workspace.dm(ana.person), "?", subtype="file_share", files=(file,))
    (answer,) = await ana.talk(message).answers(1)
    return answer


async def login_page(_: web.Request) -> web.Response:
    return web.Response(text=LOGIN_PAGE, content_type="text/html")


async def redirect(_: web.Request) -> web.Response:
    return web.Response(status=302, headers={"Location": "/files-pri/elsewhere"})


async def silence(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/plain"})
    await response.prepare(request)
    await asyncio.Event().wait()
    return response


async def endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/plain"})
    await response.prepare(request)
    while True:
        await response.write(b"x" * 100_000)


def kept_images(room: Room) -> list[bytes]:
    """Return the images that the database holds."""
    with closing(sqlite3.connect(room.database)) as database:
        rows = database.execute("SELECT image FROM file_contents WHERE image IS NOT NULL").fetchall()
    return [bytes(row[0]) for row in rows]


def bytes_of(room: Room) -> list[bytes]:
    """Return the bytes of the database's files."""
    files = [Path(room.database + suffix) for suffix in ("", "-wal", "-shm")]
    return [file.read_bytes() for file in files if file.exists()]
