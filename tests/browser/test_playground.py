"""Tests of the page with the bot: `attendant run` without any setting, in headless Chromium."""

from __future__ import annotations

import asyncio
import re
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import FilePayload, Locator, Page, expect

from bot.domain import quiet_texts, texts
from bot.domain.language import speaking, translated
from bot.domain.listening import QuietOutcome
from bot.domain.long_answer_texts import REST_IN_FILE
from bot.domain.sessions import ResetOutcome
from bot.llm.demo_model import VERY_LONG_LINES
from tests.support.process import Process
from tests.support.room import free_port

pytestmark = pytest.mark.browser
TIMEOUT_MS = 60_000
ARTIFACTS = Path(__file__).parents[1] / "artifacts"


@pytest.fixture
async def playground(page: Page, tmp_path: Path) -> AsyncIterator[Page]:
    """Start a bot without any setting and open its page."""
    async with Process.running(tmp_path, {}) as process:
        line = await process.says("Attendant is running")
        address = re.search(r"http://\S+", line)
        assert address is not None, line
        page.set_default_timeout(TIMEOUT_MS)
        await page.goto(address[0])
        await expect(page.get_by_test_id("suggestions")).to_be_visible()  # so the event stream is open
        yield page
        ARTIFACTS.mkdir(exist_ok=True)
        await page.screenshot(path=ARTIFACTS / "playground.png")


async def test_a_first_visit(playground: Page) -> None:
    """The bot answers a mention in a thread and remembers it there. Another thread and a reset start without memory."""
    await send(playground, "composer", "@attendant my VPN is down")
    pane = playground.get_by_test_id("thread-pane")
    await expect_answer(pane, 1, "This is the first message")
    await send(playground, "thread-composer", "it drops every ten minutes")
    await expect_answer(pane, 2, "my VPN is down")

    await send(playground, "composer", "@attendant where do I find the printer?")
    await expect_answer(pane, 1, "This is the first message")
    await expect(pane).not_to_contain_text("VPN")

    await send(playground, "thread-composer", "!reset")
    await expect_answer(pane, 2, texts.reset(ResetOutcome.DONE))
    await send(playground, "thread-composer", "hello again")
    await expect_answer(pane, 3, "This is the first message")


async def test_slash_reset_offers_a_list(playground: Page) -> None:
    """With two conversations, `/reset` shows buttons to this person only. The pressed one is forgotten."""
    pane = playground.get_by_test_id("thread-pane")
    for text in ("my VPN is down", "my screen flickers"):
        await send(playground, "composer", f"@attendant {text}")
        await expect(pane).to_contain_text(text, timeout=TIMEOUT_MS)  # its thread has opened
        await expect_answer(pane, 1, "This is the first message")

    await send(playground, "composer", "/reset")
    offer = playground.get_by_test_id("ephemeral")
    await expect(offer).to_contain_text(texts.CHOOSE_SESSION)
    await offer.get_by_role("button", name=texts.FORGET, exact=True).first.click()
    await expect(offer).to_contain_text(texts.reset_count(1))
    await send(playground, "thread-composer", "what about my screen?")

    await expect_answer(pane, 2, "This is the first message")


async def test_the_message_menu_starts_over(playground: Page) -> None:
    """The shortcut *Start over* in a message's menu forgets the conversation."""
    await send(playground, "composer", "@attendant my VPN is down")
    pane = playground.get_by_test_id("thread-pane")
    await expect_answer(pane, 1, "This is the first message")

    answer = pane.locator("[data-bot=true]").first
    await answer.hover()
    await answer.get_by_role("button", name="More").click()
    await playground.get_by_role("menuitem", name="Start over").click()

    await expect(playground.get_by_test_id("ephemeral").first).to_contain_text(texts.reset(ResetOutcome.DONE))


async def test_acting_as_somebody_else(playground: Page) -> None:
    """Another person can join the thread without a mention, and the bot tells the two apart."""
    await send(playground, "composer", "@attendant my VPN is down")
    pane = playground.get_by_test_id("thread-pane")
    await expect_answer(pane, 1, "This is the first message")

    await playground.get_by_test_id("act-as").get_by_label("Ben Okafor").check()
    await playground.get_by_role("button", name=re.compile("1 reply")).click()
    await send(playground, "thread-composer", "mine too")

    await expect_answer(pane, 2, "Until here only ana was writing.")
    await expect_answer(pane, 2, "ben: mine too")


async def test_the_page_says_that_the_demo_model_answers(playground: Page) -> None:
    """The page says that the demo model answers, and not a language model."""
    await expect(playground.get_by_test_id("notice")).to_contain_text("demo model")


async def test_the_keyboard_is_enough(playground: Page) -> None:
    """A person can ask, follow into the thread, reply and leave it without a mouse."""
    composer = playground.get_by_test_id("composer")
    await composer.focus()
    await playground.keyboard.type("@att")
    await playground.keyboard.press("Enter")
    await playground.keyboard.type("my VPN is down")
    await playground.keyboard.press("Enter")
    pane = playground.get_by_test_id("thread-pane")
    await expect_answer(pane, 1, "This is the first message")

    await playground.get_by_test_id("thread-composer").focus()
    await playground.keyboard.type("still down")
    await playground.keyboard.press("Enter")
    await expect_answer(pane, 2, "my VPN is down")
    await playground.keyboard.press("Escape")

    await expect(pane).to_be_hidden()


async def test_preferences_in_the_home_tab(playground: Page) -> None:
    """The Home tab's button opens a modal. The modal refuses a long text, and the tab shows the saved one."""
    await playground.get_by_role("navigation").get_by_role("button", name="attendant").click()
    await playground.get_by_role("tab", name="Home").click()
    home, modal = playground.get_by_test_id("home"), playground.get_by_test_id("modal")
    await home.get_by_role("button", name=texts.EDIT_PREFERENCES).click()
    about = modal.get_by_label(texts.PREFERENCE_LABELS["about"])
    await about.fill("x" * 1_001)
    await modal.get_by_role("button", name=texts.SAVE).click()

    await expect(modal).to_contain_text(texts.too_long(1_001, 1_000))
    await expect(about).to_be_focused()
    await about.fill("I use Linux.")
    await modal.get_by_label(texts.PREFERENCE_LABELS["tone"]).select_option("brief")
    await modal.get_by_role("button", name=texts.SAVE).click()

    await expect(modal).to_be_hidden()
    await expect(home).to_contain_text("I use Linux.")
    await playground.get_by_test_id("act-as").get_by_label("Ben Okafor").check()
    await playground.get_by_role("tab", name="Home").click()
    await expect(home).to_contain_text(texts.NO_PREFERENCES)


async def test_the_command_opens_the_modal_with_a_name_from_the_chat(playground: Page) -> None:
    """The command opens the same modal. It holds the name that the person gave the bot, and Escape closes it."""
    await send(playground, "composer", "@attendant call me Rita from now on")
    pane, modal = playground.get_by_test_id("thread-pane"), playground.get_by_test_id("modal")
    await expect_answer(pane, 2, "call you Rita")
    await expect(pane.get_by_role("button", name=texts.UNDO)).to_be_visible()
    await send(playground, "composer", "@attendant who am I?")
    await expect_answer(pane, 1, "Call me Rita.")

    await send(playground, "composer", "/attendant preferences")
    await expect(modal.get_by_label(texts.PREFERENCE_LABELS["name"])).to_have_value("Rita")
    await playground.keyboard.press("Escape")

    await expect(modal).to_be_hidden()
    await expect(pane).to_be_visible()


async def test_a_restart_is_shown(page: Page, tmp_path: Path) -> None:
    """When the playground is gone, the page says so. When it is back, the page shows what is there and what is not."""
    environ = {"PORT": str(free_port())}
    page.set_default_timeout(TIMEOUT_MS)
    pane, presence = page.get_by_test_id("thread-pane"), page.get_by_test_id("presence")
    async with Process.running(tmp_path, environ) as process:
        await process.says("Attendant is running")
        await page.goto(f"http://127.0.0.1:{environ['PORT']}/")
        await send(page, "composer", "@attendant my VPN is down")
        await expect_answer(pane, 1, "This is the first message")
        await expect(presence).to_have_text("online")
        await page.get_by_test_id("thread-composer").fill("it dro")
        await process.stop(signal.SIGKILL)
        await expect(page.get_by_test_id("offline")).to_contain_text("not responding")
        await expect(presence).to_have_text("offline")
    async with Process.running(tmp_path, environ) as process:
        await process.says("Attendant is running")
        await expect(page.get_by_test_id("restarted")).to_contain_text("was restarted", timeout=TIMEOUT_MS)
        await expect(presence).to_have_text("online")
        await expect(pane).to_be_hidden()
        await expect(page.get_by_test_id("composer")).to_be_focused()
        await expect(page.get_by_test_id("offline")).to_have_count(0)
        ARTIFACTS.mkdir(exist_ok=True)
        await page.screenshot(path=ARTIFACTS / "restarted.png")

        await send(page, "composer", "@attendant are you back?")
        await expect_answer(pane, 1, "This is the first message")
        await expect(page.get_by_test_id("restarted")).to_have_count(0)


async def test_the_bot_speaks_the_persons_language(playground: Page) -> None:
    """To a person whose Slack is German, the Home tab, the modal and the replies to commands are German."""
    await playground.get_by_test_id("act-as").get_by_label("Emma Vogel").check()
    with speaking("de"):
        title, edit = translated(texts.PREFERENCES_TITLE), translated(texts.EDIT_PREFERENCES)
        nothing, how_to = texts.reset(ResetOutcome.NOTHING), translated(texts.HOW_TO_USE_ME)
    await send(playground, "composer", "@attendant !reset")
    await expect_answer(playground.get_by_test_id("thread-pane"), 1, nothing.partition("`")[0])

    await playground.get_by_role("navigation").get_by_role("button", name="attendant").click()
    await playground.get_by_role("tab", name="Home").click()
    home = playground.get_by_test_id("home")
    await expect(home).to_contain_text(how_to)
    ARTIFACTS.mkdir(exist_ok=True)
    await playground.screenshot(path=ARTIFACTS / "german-home.png")
    await home.get_by_role("button", name=edit).click()

    await expect(playground.get_by_test_id("modal")).to_contain_text(title)
    await playground.screenshot(path=ARTIFACTS / "german-modal.png")


async def send(page: Page, composer: str, text: str) -> None:
    """Type into a composer and send."""
    await page.get_by_test_id(composer).fill(text)
    await page.get_by_test_id(composer).press("Enter")


async def expect_answer(pane: Locator, count: int, text: str) -> None:
    """Wait for the thread's count-th complete answer, and for its text."""
    answers = pane.locator("[data-bot=true][data-streaming=false]")
    await expect(answers).to_have_count(count, timeout=TIMEOUT_MS)
    await expect(answers.last).to_contain_text(text, timeout=TIMEOUT_MS)


async def test_a_file_is_read(playground: Page) -> None:
    """The bot reads a file that a person shares, and the demo model quotes it."""
    await playground.get_by_test_id("composer-files").set_input_files(
        FilePayload(name="notes.txt", mimeType="text/plain", buffer=b"The gate code is 4711.")
    )
    await send(playground, "composer", "@attendant what is the code?")
    pane = playground.get_by_test_id("thread-pane")

    await expect_answer(pane, 1, "The gate code is 4711.")


async def test_the_inspector_shows_the_traffic(playground: Page) -> None:
    """The inspector lists events and calls, marks the refused ones, and switches how Slack behaves."""
    await send(playground, "composer", "@attendant my VPN is down")
    await expect_answer(playground.get_by_test_id("thread-pane"), 1, "This is the first message")
    async with playground.expect_popup() as opened:
        await playground.get_by_role("link", name="Inspect the traffic").click()
    inspector = await opened.value
    exchanges = inspector.get_by_test_id("exchanges")
    await expect(exchanges.locator("[data-name=app_mention]").first).to_contain_text("acknowledged")

    await inspector.get_by_label("Refused only").check()
    refused = exchanges.locator("li.refused", has_text="agents.sessions.setStatus").first
    await refused.locator("summary").click()
    await expect(refused.locator("pre")).to_contain_text("thread_ts")
    await inspector.get_by_label("edits").select_option("edit_window_closed")
    await inspector.reload()
    await expect(inspector.get_by_label("edits")).to_have_value("edit_window_closed")
    ARTIFACTS.mkdir(exist_ok=True)
    await exchanges.locator("[data-name=app_mention] summary").first.click()
    await inspector.screenshot(path=ARTIFACTS / "inspector.png")


async def test_a_quiet_thread_and_a_long_answer(page: Page, tmp_path: Path) -> None:
    """The bot confirms `!quiet`, leaves people alone, and knows what they said. The rest of a long answer is a file."""
    async with Process.running(tmp_path, {"LONG_ANSWER_MESSAGES": "1"}) as process:
        address = re.search(r"http://\S+", await process.says("Attendant is running"))
        assert address is not None
        await page.goto(address[0])
        await expect(page.get_by_test_id("suggestions")).to_be_visible()
        pane = page.get_by_test_id("thread-pane")
        await send(page, "composer", "@attendant my VPN is down")
        await expect_answer(pane, 1, "This is the first message")
        await send(page, "thread-composer", "!quiet")
        await expect_answer(pane, 2, quiet_texts.reply(QuietOutcome.QUIET).partition("`")[0])
        await send(page, "thread-composer", "it was the router, by the way")
        await send(page, "thread-composer", "@attendant what was it?")
        await expect_answer(pane, 3, "it was the router, by the way")
        ARTIFACTS.mkdir(exist_ok=True)
        await page.screenshot(path=ARTIFACTS / "quiet.png")

        await send(page, "composer", "@attendant show me a very long answer")
        file = pane.get_by_test_id("file")
        await expect(file).to_contain_text("answer-", timeout=TIMEOUT_MS)
        await expect(pane.get_by_text(REST_IN_FILE.strip("_"))).to_be_visible()
        async with page.expect_download() as downloading:
            await file.click()
        path = await (await downloading.value).path()
        rest = await asyncio.to_thread(path.read_text, encoding="utf-8")
        assert f"{VERY_LONG_LINES - 1}. A line" in rest
        await file.scroll_into_view_if_needed()
        await page.screenshot(path=ARTIFACTS / "long-answer.png")
