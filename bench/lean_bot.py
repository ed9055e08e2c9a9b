"""The smallest bot on AsyncApp and AsyncOpenAI: the reference of `make bench`.

It remembers as long as the process lives, and answers a repeated delivery twice. It has no reset, respects no
rate limit of Slack's, and handles no failure of the model.
"""

from __future__ import annotations

import asyncio
import os
from collections import defaultdict
from typing import Any

import aiohttp
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletionMessageParam
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

SYSTEM: ChatCompletionMessageParam = {"role": "system", "content": "You are a friendly customer-service attendant."}


async def main() -> None:
    """Answer mentions and direct messages, each thread with a history of its own, until killed."""
    async with aiohttp.ClientSession() as session:
        client = AsyncWebClient(os.environ["SLACK_BOT_TOKEN"], os.environ["SLACK_API_URL"], session=session)
        app, openai, model = AsyncApp(client=client), AsyncOpenAI(), os.environ["OPENAI_MODEL"]
        histories: defaultdict[str, list[ChatCompletionMessageParam]] = defaultdict(lambda: [SYSTEM])

        async def answer(event: dict[str, Any]) -> None:
            root = event.get("thread_ts") or event["ts"]
            history = histories[root]
            history.append({"role": "user", "content": event["text"]})
            shown = await client.chat_stream(
                channel=event["channel"],
                thread_ts=root,
                recipient_user_id=event["user"],
                recipient_team_id=event["team"],
            )
            said = ""
            async for chunk in await openai.chat.completions.create(model=model, messages=history, stream=True):
                if chunk.choices and (delta := chunk.choices[0].delta.content):
                    said += delta
                    await shown.append(markdown_text=delta)
            await shown.stop()
            history.append({"role": "assistant", "content": said})

        @app.event("app_mention")
        async def mentioned(event: dict[str, Any]) -> None:
            await answer(event)

        @app.event("message")
        async def written(event: dict[str, Any]) -> None:
            if event.get("channel_type") == "im" and "subtype" not in event:
                await answer(event)

        await AsyncSocketModeHandler(app, os.environ["SLACK_APP_TOKEN"]).start_async()  # type: ignore[no-untyped-call]  # Bolt has no annotation here


if __name__ == "__main__":
    asyncio.run(main())
