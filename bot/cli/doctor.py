"""The checks at start, which `attendant doctor` runs on their own: each failure is one line with its remedy."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from bot import manifest
from bot.config.settings import Settings
from bot.errors import AttendantError
from bot.llm.openai import OpenAI
from bot.prompt import persona
from bot.prompt.budget import budget_for
from bot.slack.client import open_client
from bot.slack.startup_checks import check_scopes, check_socket_mode, identify
from bot.store import schema
from bot.store.engine import Store
from bot.tools.set_preferences import cost_of_tools


@dataclass(frozen=True, slots=True)
class Check:
    """One thing the bot needs. `look` says in a few words what it found, or raises AttendantError."""

    name: str
    look: Callable[[Settings], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found: a few words, or the failure with its remedy."""

    passed: bool
    line: str


async def outcome(check: Check, settings: Settings) -> Finding:
    """Run one check."""
    try:
        return Finding(True, await check.look(settings))
    except AttendantError as error:
        return Finding(False, str(error))


async def failures(settings: Settings) -> list[str]:
    """The failures of all checks, a line each; none when the bot can start."""
    found = [await outcome(check, settings) for check in ALL]
    return [each.line for each in found if not each.passed]


async def _persona(settings: Settings) -> str:
    text = persona.load(settings.persona_file)
    budget_for(settings, text, besides=cost_of_tools(settings))
    return f"{len(text)} characters"


async def _database(settings: Settings) -> str:
    store = Store(settings.database_url)
    try:
        await store.check()
        await store.run(schema.check)
        return store.engine.dialect.name
    finally:
        await store.close()


async def _slack(settings: Settings) -> str:
    if settings.mode == "playground":
        return "no Slack setting is set: the playground starts"
    async with open_client(settings) as client:
        identity = await identify(client)
        check_scopes(identity, manifest.read(manifest.document()).scopes)
        scopes = "every scope granted" if identity.scopes else "Slack did not say which scopes are granted"
        return f"@{identity.name} in {identity.team_name}, {scopes}"


async def _socket(settings: Settings) -> str:
    if settings.mode != "socket" or settings.slack_app_token is None:
        return "not used"
    async with open_client(settings) as client:
        await check_socket_mode(client, settings.slack_app_token)
        return "Slack gave a Socket Mode address"


async def _model(settings: Settings) -> str:
    if settings.uses_stand_in:
        return "neither OPENAI_API_KEY nor OPENAI_BASE_URL is set: the stand-in answers"
    model = OpenAI(
        model=settings.openai_model,
        silence_s=settings.model_timeout_seconds,
        max_streams=1,
        api_key=settings.openai_api_key,
        base_url=settings.openai_base_url,
    )
    try:
        await model.check()
        return f"{settings.openai_model} answers"
    finally:
        await model.aclose()


ALL = (
    Check("persona", _persona),
    Check("database", _database),
    Check("Slack", _slack),
    Check("Socket Mode", _socket),
    Check("model", _model),
)
