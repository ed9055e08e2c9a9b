"""The traffic between the playground and the app, as the inspector shows it: deliveries in, calls out, oldest first.

Rule: no token, no signature and no trigger is shown, and a long value is cut.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Sequence
from datetime import datetime

from bot.playground.delivery.delivery import Attempt, Delivery
from bot.playground.web_api.calls import ApiCall
from bot.playground.workspace.messages import Json

MOST_SHOWN = 200  # exchanges
MOST_CHARACTERS = 4_000  # of one exchange's payload
_SECRET_FIELDS = frozenset({"token", "trigger_id", "response_url", "response_urls", "action_token"})
_ACKNOWLEDGED = "acknowledged"


def newest(deliveries: Sequence[Delivery], calls: Sequence[ApiCall]) -> list[Json]:
    """Return the newest exchanges: each attempt at a delivery, and each call of the Web API."""
    attempts = [(delivery, attempt) for delivery in deliveries[-MOST_SHOWN:] for attempt in delivery.attempts]
    shown = [*(_of_attempt(*each) for each in attempts), *map(_of_call, calls[-MOST_SHOWN:])]
    return sorted(heapq.nlargest(MOST_SHOWN, shown, key=_at), key=_at)


def _at(exchange: Json) -> float:
    at: float = exchange["at"]
    return at


def _of_attempt(delivery: Delivery, attempt: Attempt) -> Json:
    outcome = attempt.failure or (_ACKNOWLEDGED if attempt.acked_at else "pending")
    return {
        "direction": "in",
        "name": _name_of(delivery),
        "attempt": attempt.number + 1,
        "outcome": outcome,
        "refused": attempt.failure is not None,
        **_times(attempt.at, attempt.acked_at),
        "payload": _shown(delivery.payload),
    }


def _name_of(delivery: Delivery) -> str:
    """Return the type of the event or interaction: "message", "block_actions", "/reset"."""
    payload = delivery.payload
    if event := delivery.event:
        return ".".join(str(event[key]) for key in ("type", "subtype") if event.get(key))
    return str(payload.get("command") or payload.get("type") or delivery.kind)


def _of_call(call: ApiCall) -> Json:
    return {
        "direction": "out",
        "name": call.method,
        "attempt": 1,
        "outcome": call.error or "ok",
        "refused": call.error is not None,
        **_times(call.at, call.answered_at),
        "payload": _shown(call.args),
    }


def _times(at: datetime, ended_at: datetime | None) -> Json:
    """Return the Unix time at which it began, and its duration in milliseconds."""
    took = None if ended_at is None else round(1000 * (ended_at - at).total_seconds(), 1)
    return {"at": at.timestamp(), "took_ms": took}


def _shown(payload: object) -> str:
    text = json.dumps(_without_secrets(payload), indent=2, ensure_ascii=False)
    return text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]}\n…"


def _without_secrets(part: object) -> object:
    if isinstance(part, dict):
        return {key: "…" if key in _SECRET_FIELDS else _without_secrets(value) for key, value in part.items()}
    return [_without_secrets(each) for each in part] if isinstance(part, list) else part
