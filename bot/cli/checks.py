"""The checks at start. Each failure is one line with its remedy."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from bot import manifest
from bot.config.settings import Settings
from bot.errors import AttendantError
from bot.llm.from_settings import open_model
from bot.prompt import persona
from bot.prompt.budget import budget_for
from bot.store import schema
from bot.store.engine import Store
from bot.tools.set_preferences import cost_of_tools


@dataclass(frozen=True, slots=True)
class Check:
    """A precondition of the start. `run` returns a few words for the operator, or raises AttendantError."""

    name: str
    run: Callable[[Settings], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class CheckOutcome:
    """The outcome of a check; `detail` is a few words, or the failure with its remedy."""

    passed: bool
    detail: str


async def outcome(check: Check, settings: Settings) -> CheckOutcome:
    """Run one check."""
    try:
        return CheckOutcome(True, await check.run(settings))
    except AttendantError as error:
        return CheckOutcome(False, str(error))


async def failures(settings: Settings) -> list[str]:
    """Run all checks at once and return the failures, a line each; none when the bot can start."""
    outcomes = await asyncio.gather(*(outcome(check, settings) for check in ALL))
    return [each.detail for each in outcomes if not each.passed]


async def _persona(settings: Settings) -> str:
    text = persona.load(settings.persona_file)
    budget_for(settings, text, extra_tokens=cost_of_tools(settings))
    return f"{len(text)} characters"


async def _database(settings: Settings) -> str:
    store = Store(settings.database_url.get_secret_value())
    try:
        await store.check()
        is_new = await store.run(schema.check) is None
        return f"{store.engine.dialect.name}{', new and empty' if is_new else ''}, at {store.location}"
    finally:
        await store.close()


async def _slack(settings: Settings) -> str:
    if settings.mode == "playground":
        return "no Slack setting is set: the playground starts"
    from bot.slack.client import open_client  # noqa: PLC0415 - the gateway alone does without Slack's libraries
    from bot.slack.startup_checks import check_scopes, identify  # noqa: PLC0415

    async with open_client(settings) as client:
        identity = await identify(client)
        described = manifest.read(manifest.document())
        check_scopes(identity, described.scopes - described.optional_scopes)
        lacking = ", ".join(sorted(described.optional_scopes - identity.scopes))
        scopes = f"every scope granted but {lacking} (optional)" if lacking else "every scope granted"
        scopes = scopes if identity.scopes else "Slack did not say which scopes are granted"
        return f"@{identity.name} in {identity.team_name}, {scopes}"


async def _socket(settings: Settings) -> str:
    if settings.mode != "socket" or settings.slack_app_token is None:
        return "not used"
    from bot.slack.client import open_client  # noqa: PLC0415
    from bot.slack.startup_checks import check_socket_mode  # noqa: PLC0415

    async with open_client(settings) as client:
        await check_socket_mode(client, settings.slack_app_token.get_secret_value())
        return "Slack gave a Socket Mode address"


async def _model(settings: Settings) -> str:
    if settings.uses_demo_model:
        return "neither OPENAI_API_KEY nor OPENAI_BASE_URL is set: the demo model answers"
    async with open_model(settings) as model:
        if await model.check():
            return f"{settings.openai_model} answers"
        return f"{settings.openai_model} is busy or slow: the bot starts, and asks it again for each message"


ALL = (
    Check("persona", _persona),
    Check("database", _database),
    Check("Slack", _slack),
    Check("Socket Mode", _socket),
    Check("model", _model),
)
