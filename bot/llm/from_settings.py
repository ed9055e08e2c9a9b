"""The model that the settings name, over the openai client; or the demo model, where they name none."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from bot.config.settings import Settings
from bot.llm import lazy_types

if TYPE_CHECKING:
    from bot.llm.openai import OpenAI

DEMO_MODEL = "the demo model, because neither OPENAI_API_KEY nor OPENAI_BASE_URL is set"


def model_name(settings: Settings) -> str:
    """Return the model's name, as an operator reads it."""
    return DEMO_MODEL if settings.uses_demo_model else settings.openai_model


@asynccontextmanager
async def open_model(settings: Settings, *, max_streams: int = 1) -> AsyncIterator[OpenAI]:
    """Open a client of the model, with connections of its own, and close it in the end."""
    lazy_types.postpone()
    from bot.llm.openai import OpenAI  # noqa: PLC0415 - slow, and after the types are postponed

    key = settings.openai_api_key
    model = OpenAI(
        model=settings.openai_model,
        silence_s=settings.model_timeout_seconds,
        max_streams=max_streams,
        api_key=key.get_secret_value() if key is not None else None,
        base_url=settings.openai_base_url,
        tools=settings.openai_tools == "auto",
        images=settings.openai_images == "auto",
    )
    try:
        yield model
    finally:
        await model.aclose()


@asynccontextmanager
async def with_demo_model(settings: Settings) -> AsyncIterator[Settings]:
    """Return the settings; where they name no model, run the demo model and name it as the backend."""
    if not settings.uses_demo_model:
        yield settings
        return
    from bot.llm.demo_model import MODEL, DemoModel  # noqa: PLC0415 - most bots have a model

    demo_model = DemoModel()
    try:
        base_url = await demo_model.start()
        yield settings.model_copy(update={"openai_base_url": base_url, "openai_model": MODEL})
    finally:
        await demo_model.stop()
