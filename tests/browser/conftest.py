"""A headless Chromium for the browser tests. Without Chromium the tests are skipped, but in CI they fail."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright, expect

CHROMIUM = shutil.which("chromium")
expect.set_options(timeout=20_000)  # milliseconds; generous, for a machine under load

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """Launch a browser for each test."""
    if CHROMIUM is None:
        reason = "no chromium on this machine: install Debian's package chromium to run the browser tests"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        await browser.close()


@pytest.fixture
async def page(browser: Browser) -> AsyncIterator[Page]:
    """Open a page that must throw no error, log no error and load nothing from other sites."""
    context = await browser.new_context(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
    page = await context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text) if _is_problem(message) else None)
    page.on("request", lambda request: None if "//127.0.0.1:" in request.url else problems.append(request.url))
    yield page
    await context.close()
    assert problems == []


def _is_problem(message: ConsoleMessage) -> bool:
    # When a test stops its server before its page, the page reports the lost and the refused connections, rightly.
    lost = ("ERR_CONNECTION_REFUSED", "ERR_CONNECTION_RESET", "ERR_INCOMPLETE_CHUNKED_ENCODING", "ERR_EMPTY_RESPONSE")
    return message.type == "error" and not any(words in message.text for words in lost)
