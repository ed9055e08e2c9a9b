"""The requests library as a client: it makes the calls on its standard input and prints the answers.

It posts to the base URL.
Usage: with_requests.py ADDRESS KEY, with a JSON list of {header, session, stream, text} on standard input.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import requests


def answer(address: str, key: str, call: dict[str, Any]) -> str:
    """Return the answer of one call."""
    response = requests.post(
        f"{address}/api/publicLLM",
        headers={"Authorization": f"Bearer {key}", call["header"]: call["session"]},
        json={"messages": [{"role": "user", "content": call["text"]}], "stream": call["stream"]},
        stream=call["stream"],
        timeout=30,
    )
    response.raise_for_status()
    if not call["stream"]:
        return str(response.json()["choices"][0]["message"]["content"])
    data = [line.removeprefix("data: ") for line in response.iter_lines(decode_unicode=True) if line]
    chunks = [json.loads(line) for line in data if line != "[DONE]"]
    return "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks)


if __name__ == "__main__":
    sys.stdout.write(json.dumps([answer(sys.argv[1], sys.argv[2], call) for call in json.load(sys.stdin)]))
