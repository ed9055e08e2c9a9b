"""File downloads: the hosts to which the token may go, and what stands in for a file that Slack does not send."""

from __future__ import annotations

import tempfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.events import Attachment
from bot.domain.file_content import FileOutcome
from bot.playground.workspace.file_sharing import upload
from bot.slack.outbound.file_downloads import is_slacks
from bot.turns.adapter import FetchedFile
from tests.support.slack_stage import Stage, break_method, stage

SLACK = "https://slack.com/api/"
PLAYGROUND = "http://127.0.0.1:3000/api/"
GOV = "https://slack-gov.com/api/"
ALLOWED = [
    ("https://files.slack.com/files-pri/T1-F1/a.txt", SLACK),
    ("https://acme.enterprise.slack.com/files-pri/T1-F1/a.txt", SLACK),
    ("https://slack-files.com/T1-F1-x", SLACK),
    ("https://files.slack.com:443/F1", SLACK),
    ("https://files.slack-gov.com/F1", GOV),
    ("http://127.0.0.1:3000/files-pri/F1", PLAYGROUND),
]
REFUSED = [
    ("", SLACK),
    ("http://files.slack.com/F1", SLACK),
    ("ftp://files.slack.com/F1", SLACK),
    ("https://files.slack.com:8443/F1", SLACK),
    ("https://files.slack.com:x/F1", SLACK),
    ("https://evilslack.com/F1", SLACK),
    ("https://slack.com.evil.example/F1", SLACK),
    ("https://files.slack.com@evil.example/F1", SLACK),
    ("https://evil.example/files.slack.com", SLACK),
    ("https://evil.example#.slack.com", SLACK),
    ("https://evil.example\\.slack.com/", SLACK),
    ("https://[::1]/F1", SLACK),
    ("http://127.0.0.1:3000/files-pri/F1", SLACK),
    ("http://127.0.0.1:3001/files-pri/F1", PLAYGROUND),
    ("https://127.0.0.1:3000/files-pri/F1", PLAYGROUND),
    ("https://files.slack.com/F1", PLAYGROUND),
    ("//files.slack.com/F1", SLACK),
]
CODES = {
    "missing_scope": FileOutcome.NO_PERMISSION,
    "file_not_found": FileOutcome.NOT_SHARED,
    "file_deleted": FileOutcome.NOT_SHARED,
    "team_access_not_granted": FileOutcome.NOT_SHARED,
    "broken": FileOutcome.UNREACHABLE,
}


@pytest.mark.parametrize(("url", "api"), ALLOWED)
def test_slacks_hosts_get_the_token(url: str, api: str) -> None:
    """The token goes to Slack's hosts, and to the host of the configured Web API."""
    assert is_slacks(url, api)


@pytest.mark.parametrize(("url", "api"), REFUSED)
def test_other_hosts_do_not(url: str, api: str) -> None:
    """The token goes nowhere else, whatever the URL resembles."""
    assert not is_slacks(url, api)


@given(st.text(alphabet="htps:/@.#?\\[]%slackcomevi0", max_size=40), st.sampled_from([SLACK, PLAYGROUND]))
def test_no_url_breaks_the_check(url: str, api: str) -> None:
    """For any URL the check returns an answer."""
    assert is_slacks(url, api) in {True, False}


async def fetched(slack: Stage, file: Attachment, most_bytes: int = 1_000) -> tuple[FetchedFile | FileOutcome, bytes]:
    """Return the outcome, and the bytes that were written."""
    with tempfile.TemporaryFile() as into:
        outcome = await slack.adapter.fetch_file(file, into, most_bytes)
        into.seek(0)
        return outcome, into.read()


async def test_a_file_is_downloaded_with_the_token() -> None:
    """The file's bytes come with the name and the type that Slack has for it now."""
    async with stage() as slack:
        file = upload(slack.workspace, "notes.md", b"hello")
        found = await fetched(slack, Attachment(file["id"], "old.txt", "text/plain", 5))
        [(_, authorization)] = slack.server.files.downloads

    assert found == (FetchedFile("notes.md", "text/markdown"), b"hello")
    assert authorization == f"Bearer {slack.workspace.app.bot_token}"


@pytest.mark.parametrize("code", CODES)
async def test_slack_says_no(code: str) -> None:
    """Each refusal of files.info becomes the outcome that a person is told."""
    async with stage() as slack:
        file = upload(slack.workspace, "a.txt", b"hello")
        break_method(slack, code, "files.info")

        assert await fetched(slack, Attachment(file["id"], "a.txt", "text/plain", 5)) == (CODES[code], b"")


async def test_nothing_is_left_of_a_file_that_is_too_large() -> None:
    """A file with more bytes than announced ends with the outcome, and at most a part of it was written."""
    async with stage() as slack:
        file = upload(slack.workspace, "a.txt", b"x" * 2_000, size=10)
        outcome, written = await fetched(slack, Attachment(file["id"], "a.txt", "text/plain", 10))

    assert outcome is FileOutcome.TOO_LARGE
    assert len(written) <= 1_000
