"""OpenAI's Python SDK as a client: it makes the calls on its standard input and prints the answers.

Usage: sdk.py ADDRESS KEY, with a JSON list of {header, session, stream, text} on standard input.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from openai import OpenAI


def answer(client: OpenAI, call: dict[str, Any]) -> str:
    """Return the answer of one call."""
    session = client.with_options(default_headers={call["header"]: call["session"]})
    asked: Any = {"model": "any", "messages": [{"role": "user", "content": call["text"]}]}
    if not call["stream"]:
        return session.chat.completions.create(**asked).choices[0].message.content or ""
    chunks: Any = session.chat.completions.create(**asked, stream=True)
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)


if __name__ == "__main__":
    openai = OpenAI(base_url=f"{sys.argv[1]}/v1", api_key=sys.argv[2])
    sys.stdout.write(json.dumps([answer(openai, call) for call in json.load(sys.stdin)]))
