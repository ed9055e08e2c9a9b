"""Tests of the page in a real browser: rendering of texts, and operation by keyboard."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import FilePayload, Locator, Page, expect

from bot.playground.workspace import file_sharing
from bot.playground.workspace.messages import Message
from bot.playground.workspace.people import Channel, Person
from bot.playground.workspace.shared_files import Upload
from bot.playground.workspace.workspace import Workspace
from tests.support import sample_files
from tests.support.playground_stage import declare_agent, make_workspace, served

pytestmark = pytest.mark.browser
ARTIFACTS = Path(__file__).parents[1] / "artifacts"


@dataclass(frozen=True, slots=True)
class Visit:
    """The page, opened as Ana in #help-desk."""

    page: Page
    workspace: Workspace

    @property
    def ana(self) -> Person:
        return self.workspace.person("ana")

    @property
    def help_desk(self) -> Channel:
        return self.workspace.channel("help-desk")

    @property
    def composer(self) -> Locator:
        return self.page.get_by_test_id("composer")

    @property
    def thread(self) -> Locator:
        return self.page.get_by_test_id("thread-pane")

    def bot_says(self, text: str, root: str | None = None, **more: Any) -> Message:
        """Post a Markdown message of the bot."""
        workspace, app = self.workspace, self.workspace.app
        fields = {"user": app.user_id, "bot_id": app.bot_id, "text": text, "format": "markdown", "thread_ts": root}
        return workspace.add(Message(channel=self.help_desk.id, ts=workspace.new_ts(), **{**fields, **more}))

    def shown(self, message: Message) -> Locator:
        """Return the text of a message in the channel."""
        return self.page.get_by_test_id("messages").locator(f"[data-id='{message.id}']").get_by_test_id("message-text")

    async def shows(self, text: str, **more: Any) -> Locator:
        """Post a message of the bot. Return its rendered text."""
        shown = self.shown(self.bot_says(text, **more))
        await expect(shown).to_be_visible()
        return shown


@pytest.fixture
async def visit(page: Page) -> AsyncIterator[Visit]:
    """Open the page of a new workspace to which no app is connected."""
    async with served(make_workspace()) as server:
        await page.goto(server.url)
        await expect(page.get_by_test_id("suggestions")).to_be_visible()
        yield Visit(page, server.workspace)


HOSTILE = """<img src=x onerror="window.hacked=1"> <script>window.hacked=1</script>
[click](javascript:window.hacked=1) [data](data:text/html,x) <javascript:window.hacked=1|link> ![pixel](https://example.com/x.png)

| <b>cell</b> |
|---|
| <img src=x onerror=window.hacked=1> |

```<script>
<svg onload=window.hacked=1>
```"""


@pytest.mark.parametrize("kind", ["markdown", "mrkdwn"])
async def test_model_text_is_never_markup(visit: Visit, kind: str) -> None:
    """In both formats, tags, script addresses and images stay text. The page runs and fetches nothing of them."""
    shown = await visit.shows(HOSTILE, format=kind)

    await expect(shown).to_contain_text("<svg onload=window.hacked=1>")
    assert await shown.locator("img, script, svg, b").count() == 0
    hrefs = await shown.locator("a").evaluate_all("links => links.map(link => link.protocol)")
    assert set(hrefs) <= {"https:"}
    assert await visit.page.evaluate("window.hacked") is None


MARKDOWN = """## Parcels
Some **bold**, *slanted*, ~~gone~~ and `code *as is*` in snake_case_words, 2 * 3 * 4.

1. Weigh
   - under *2 kg*
   - over
2. Send

| Way | Price |
|:--|--:|
| Post | 4 € |

> quoted

---

```python
print("a" * 2)
```
See [the guide](https://example.com/a_(b)) or https://example.com/plain_one."""


CONSTRUCTS = {
    "h4": ["Parcels"],
    "strong": ["bold"],
    "em": ["slanted", "2 kg"],
    "s": ["gone"],
    "p code": ["code *as is*"],
    "ol > li": ["Weighunder 2 kgover", "Send"],
    "ol > li > ul > li": ["under 2 kg", "over"],
    "th": ["Way", "Price"],
    "td.right": ["4 €"],
    "blockquote": ["quoted"],
    "hr": [""],
    "figcaption span": ["python"],
    "pre code": ['print("a" * 2)'],
    "a": ["the guide", "https://example.com/plain_one"],
}


async def test_markdown_constructs_become_elements(visit: Visit) -> None:
    """Each Markdown construct that models use becomes its element. Other text stays text."""
    shown = await visit.shows(MARKDOWN)

    assert {selector: await shown.locator(selector).all_text_contents() for selector in CONSTRUCTS} == CONSTRUCTS
    assert await shown.locator("a").first.get_attribute("href") == "https://example.com/a_(b)"


TYPED = "*so* 1 < 2 &amp; @Ben Okafor _look_: @channel\n> was said"


async def test_mrkdwn_is_shown_as_slack_shows_it(visit: Visit) -> None:
    """A person's text shows formatting, entities, people's names and highlighted pings."""
    message = visit.workspace.post(visit.ana, visit.help_desk, TYPED)
    shown = visit.shown(message)

    await expect(shown.locator("p")).to_have_text("so 1 < 2 &amp; @Ben Okafor look: @channel")
    await expect(shown.locator("strong")).to_have_text("so")
    await expect(shown.locator("blockquote")).to_have_text("was said")
    await expect(shown.locator(".pill-ping")).to_have_text("@channel")


async def test_a_streamed_answer_grows_in_place(visit: Visit) -> None:
    """Streamed text grows in one message, an unclosed marker does not flicker, and the caret disappears."""
    message = visit.bot_says("Please **hold", streaming_since=visit.workspace.clock())
    shown = visit.shown(message)
    await expect(shown.locator("strong")).to_have_text("hold")
    await expect(shown.locator(".caret")).to_have_count(1)

    message = visit.workspace.append_to(message, " on**\n\n| a | b |\n|--")
    await expect(shown.locator("th")).to_have_text(["a", "b"])
    visit.workspace.change(message, streaming_since=None)

    await expect(shown.locator(".caret")).to_have_count(0)
    await expect(shown.locator("strong")).to_have_text("hold on")
    await expect(visit.page.get_by_test_id("message")).to_have_count(1)


async def test_a_scrolled_list_keeps_its_position(visit: Visit) -> None:
    """A new message scrolls the list only if the list is scrolled to its end."""
    last = [visit.bot_says(f"line {at}\n\nmore") for at in range(30)][-1]
    await expect(visit.shown(last)).to_be_in_viewport()
    messages = visit.page.get_by_test_id("messages")
    await messages.evaluate("list => { list.scrollTop = 100 }")
    jump = visit.page.get_by_role("button", name="New messages")

    newest = visit.bot_says("newest")
    await expect(jump).to_be_visible()
    assert await messages.evaluate("list => list.scrollTop") == 100
    await jump.click()

    await expect(visit.shown(newest)).to_be_in_viewport()


async def test_a_conversation_by_keyboard_alone(visit: Visit) -> None:
    """With keys only: complete a name, send, open the thread, reply, and close the thread."""
    page, workspace, keys = visit.page, visit.workspace, visit.page.keyboard
    await keys.type("hi @att")
    await keys.press("Tab")
    await keys.type("help")
    await keys.press("Shift+Enter")
    await keys.type("please")
    await keys.press("Enter")
    await workspace.until(lambda: bool(workspace.transcript.of_channel(visit.help_desk.id)))
    (root,) = workspace.transcript.of_channel(visit.help_desk.id)
    assert root.text == f"hi <@{workspace.app.user_id}> help\nplease"

    await page.get_by_test_id("message").focus()
    await keys.press("Tab")
    await keys.press("Tab")
    await keys.press("Enter")
    await expect(page.get_by_role("menuitem", name="Start over")).to_be_focused()
    await keys.press("Escape")
    await keys.press("Shift+Tab")
    await keys.press("Enter")
    await expect(page.get_by_test_id("thread-composer")).to_be_focused()

    await keys.type("more")
    await keys.press("Enter")
    await expect(visit.thread.get_by_test_id("message")).to_have_count(2)
    await keys.press("Escape")

    await expect(visit.thread).to_be_hidden()
    await expect(page.get_by_test_id("reply-link")).to_be_focused()


async def test_commands_are_completed_and_sent_as_commands(visit: Visit) -> None:
    """A slash suggests the commands. A known command goes to the app, not into the channel."""
    await visit.composer.press_sequentially("/re")
    await expect(visit.page.get_by_role("option")).to_contain_text("/reset [all | link to a thread]")
    await visit.composer.press("Enter")
    await expect(visit.composer).to_have_value("/reset ")
    await visit.composer.press_sequentially("all")
    await visit.composer.press("Enter")

    # No app is connected, so Slack shows an error to the person.
    await expect(visit.page.get_by_test_id("ephemeral")).to_contain_text("Only visible to you")
    await expect(visit.page.get_by_test_id("message")).to_have_count(0)


async def test_a_status_shows_under_its_message_and_opens_the_thread(visit: Visit) -> None:
    """The channel and the opened thread show the status until the bot has answered."""
    await visit.composer.fill("@attendant help")
    await visit.composer.press("Enter")
    await expect(visit.page.get_by_test_id("message")).to_have_count(1)
    (root,) = visit.workspace.transcript.of_channel(visit.help_desk.id)
    visit.workspace.statuses.set(visit.help_desk.id, root.ts, "is thinking…", timedelta(minutes=2))
    await expect(visit.page.get_by_test_id("status")).to_have_text(["attendant is thinking…"] * 2)

    visit.bot_says("Done.", root.ts)

    await expect(visit.thread.get_by_test_id("message")).to_have_count(2)
    await expect(visit.page.get_by_test_id("status")).to_have_count(0)
    await expect(visit.page.locator("#announcer")).to_have_text("attendant: Done.")


async def test_an_ephemeral_message_is_for_one_person(visit: Visit) -> None:
    """Only its reader sees an ephemeral message and its buttons."""
    button = {"type": "button", "action_id": "go", "value": "1", "text": {"type": "plain_text", "text": "Forget <it>"}}
    section = {"type": "section", "text": {"type": "plain_text", "text": "*Which* one?"}, "accessory": button}
    visit.workspace.show_ephemeral(visit.ana, visit.help_desk, "Which one?", by_app=True, blocks=(section,))
    ephemeral = visit.page.get_by_test_id("ephemeral")
    await expect(ephemeral.get_by_test_id("message-text")).to_contain_text("*Which* one?")
    await expect(ephemeral.get_by_role("button", name="Forget <it>")).to_be_enabled()

    await visit.page.get_by_test_id("act-as").get_by_label("Ben Okafor").check()

    await expect(ephemeral).to_have_count(0)


async def test_a_message_is_edited_and_deleted_in_place(visit: Visit) -> None:
    """A person can edit their own message, in the text as they typed it, and delete it."""
    message = visit.workspace.post(visit.ana, visit.help_desk, "@Ben Okafor: 1 < 2")
    more, menu = visit.page.get_by_test_id("more-actions"), visit.page.get_by_test_id("menu")
    await visit.shown(message).hover()
    await more.click()
    await menu.get_by_text("Edit message").click()
    await expect(visit.page.get_by_test_id("edit-box")).to_have_value("@ben: 1 < 2")
    await visit.page.get_by_test_id("edit-box").fill("@ben: 2 < 3")
    await visit.page.keyboard.press("Enter")
    await expect(visit.shown(message)).to_have_text("@Ben Okafor: 2 < 3 (edited)")

    await more.click()
    await menu.get_by_text("Delete message").click()

    await expect(visit.page.get_by_test_id("message")).to_have_count(0)


async def test_an_agent_at_work_can_be_stopped(visit: Visit) -> None:
    """The Stop button shows in the thread of a processing agent. A plain app's status has none."""
    workspace, stop = visit.workspace, visit.thread.get_by_test_id("stop")
    root = workspace.post(visit.ana, visit.help_desk, "@attendant help")
    workspace.statuses.set(visit.help_desk.id, root.ts, "is thinking", timedelta(minutes=1))
    await expect(visit.page.get_by_test_id("message")).to_contain_text("is thinking")
    await visit.page.get_by_test_id("reply-in-thread").click(force=True)
    await expect(visit.thread.get_by_test_id("status")).to_contain_text("is thinking")
    await expect(stop).to_have_count(0)
    declare_agent(workspace)
    workspace.statuses.set(visit.help_desk.id, root.ts, "Working…", timedelta(hours=1), session=True)
    streamed = visit.bot_says("Hel", root.ts, streaming_since=workspace.clock())
    await stop.click()
    await workspace.until(lambda: workspace.transcript.streaming() == [])
    workspace.statuses.set(visit.help_desk.id, root.ts, "")

    await expect(visit.thread.get_by_test_id("status")).to_have_count(0)
    await expect(visit.thread.locator(f"[data-id='{streamed.id}']")).to_have_attribute("data-streaming", "false")


async def test_a_channel_with_unread_messages_has_a_dot(visit: Visit) -> None:
    """A channel with unread messages has a dot until a person opens it."""
    general = visit.page.locator("[data-channel='C0GENERAL0']")
    visit.workspace.post(visit.workspace.person("ben"), visit.workspace.channel("general"), "news")
    await expect(general.get_by_test_id("unread")).to_be_visible()

    await general.click()

    await expect(visit.page.get_by_text("news", exact=True)).to_be_visible()
    await expect(general.get_by_test_id("unread")).to_have_count(0)


async def test_on_a_phone_nothing_is_cut_off(visit: Visit) -> None:
    """On a phone, the thread fills the window, wide content scrolls, and the channels are in a drawer."""
    await visit.page.set_viewport_size({"width": 390, "height": 780})
    root = visit.bot_says(f"|{' column |' * 12}\n|{'--|' * 12}\n\n{'w' * 300}")
    visit.bot_says("reply", root.ts)
    await visit.page.get_by_test_id("reply-link").click()
    await expect(visit.composer).to_be_hidden()
    await expect(visit.thread.get_by_test_id("message")).to_have_count(2)
    assert await visit.page.evaluate("document.documentElement.scrollWidth") == 390

    await visit.page.keyboard.press("Escape")
    await visit.page.get_by_test_id("open-sidebar").click()
    await visit.page.locator("[data-channel='C0GENERAL0']").click()
    await expect(visit.page.get_by_role("heading", name="#general")).to_be_visible()


async def test_files_stand_below_their_message(visit: Visit) -> None:
    """People can download the app's files. A file that a person sent shows only its name."""
    theirs = visit.workspace.share_file(visit.ana, visit.help_desk, "see", name="a.png", mimetype="a/b", size_bytes=1)
    visit.workspace.uploads["F1"] = Upload("all.json", 2, "", b"{}")
    visit.bot_says("here", files=({"id": "F1", "name": "all.json"},))

    await expect(visit.page.locator(f"[data-id='{theirs.id}']")).to_contain_text("a.png")
    async with visit.page.expect_download() as fetching:
        await visit.page.get_by_test_id("file").click()
    assert (await fetching.value).suggested_filename == "all.json"


async def test_a_message_is_forwarded(visit: Visit) -> None:
    """A person forwards a message from its menu. The other place shows its author, its text and its file."""
    workspace, ben = visit.workspace, visit.workspace.person("ben")
    files = {"plan.txt": b"The gate code is 4711."}
    said = file_sharing.share(workspace, ben, visit.help_desk, "Please look at *this*.", files=files)
    message = visit.page.get_by_test_id("messages").locator(f"[data-id='{said.id}']")
    await message.hover()
    await message.get_by_role("button", name="More").click()
    await visit.page.get_by_role("menuitem", name="Forward message").click()
    await visit.page.get_by_role("menuitem", name=workspace.app.manifest.bot_name).click()

    await visit.page.locator("[data-kind=dm]").click()
    forwarded = visit.page.get_by_test_id("attached")
    await expect(forwarded).to_contain_text(ben.real_name)
    await expect(forwarded.locator("strong, b")).to_have_text("this")
    async with visit.page.expect_download() as fetching:
        await forwarded.get_by_test_id("file").click()
    assert (await fetching.value).suggested_filename == "plan.txt"


async def test_files_are_shared(visit: Visit) -> None:
    """A person chooses files, removes one, and sends the others with a text. An image is shown in its message."""
    chosen = [
        FilePayload(name="screen.png", mimeType="image/png", buffer=sample_files.png(300, 200)),
        FilePayload(name="notes.txt", mimeType="text/plain", buffer=b"The gate code is 4711."),
        FilePayload(name="wrong.txt", mimeType="text/plain", buffer=b"x"),
    ]
    await visit.page.get_by_test_id("composer-files").set_input_files(chosen)
    await expect(visit.page.get_by_test_id("attachment")).to_have_count(3)
    await visit.page.get_by_role("button", name="Remove wrong.txt").click()
    await visit.composer.fill("what is this?")
    await visit.composer.press("Enter")

    await expect(visit.page.get_by_test_id("attachment")).to_have_count(0)
    image = visit.page.get_by_test_id("messages").get_by_test_id("file-image")
    await expect(image).to_have_js_property("naturalWidth", 300)
    await expect(visit.page.get_by_test_id("messages").get_by_test_id("file")).to_have_text("notes.txt")
    sent = visit.workspace.transcript.of_channel(visit.help_desk.id)[-1]
    assert (sent.text, [file["name"] for file in sent.files]) == ("what is this?", ["screen.png", "notes.txt"])
    ARTIFACTS.mkdir(exist_ok=True)
    await visit.page.screenshot(path=ARTIFACTS / "files.png")


async def test_files_are_dropped_and_pasted(visit: Visit) -> None:
    """A file that is dropped onto the pane or pasted is attached, and can be sent without a text."""
    drop = """(pane) => {
      const data = new DataTransfer();
      data.items.add(new File(["dropped"], "dropped.txt", { type: "text/plain" }));
      pane.dispatchEvent(new DragEvent("dragover", { dataTransfer: data, bubbles: true, cancelable: true }));
      pane.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
    }"""
    paste = """(box) => {
      const data = new DataTransfer();
      data.items.add(new File(["pasted"], "pasted.txt", { type: "text/plain" }));
      box.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true }));
    }"""
    await visit.page.get_by_test_id("messages").evaluate(drop)
    await visit.composer.evaluate(paste)
    await expect(visit.page.get_by_test_id("attachment")).to_have_text(["dropped.txt", "pasted.txt"])
    await visit.page.get_by_role("button", name="Send").first.click()

    await expect(visit.page.get_by_test_id("messages").get_by_test_id("file")).to_have_count(2)


async def test_a_refused_file_comes_back(visit: Visit) -> None:
    """Files that could not be sent stay in the composer, with the reason."""
    await visit.page.route("**/page/share", lambda route: route.abort("connectionrefused"))
    await visit.page.get_by_test_id("composer-files").set_input_files(
        FilePayload(name="notes.txt", mimeType="text/plain", buffer=b"x")
    )
    await visit.page.get_by_role("button", name="Send").first.click()

    await expect(visit.page.get_by_test_id("attachment")).to_have_text(["notes.txt"])
    await expect(visit.page.get_by_role("alert").first).to_be_visible()
