"""The journal: one log line for each request when it ends, for operators.

Rule: it holds no key, no session's id, and nothing that anybody wrote.
"""

from __future__ import annotations

import logging
import re

from aiohttp import hdrs, web

log = logging.getLogger(__name__)

KEY_ID = web.RequestKey("key_id", str)  # of a key that is known, whether it may ask or not
WHY = web.RequestKey("why", str)  # the code of the error that the client was told

_CLIENTS_ID = re.compile(r"[!-~]{1,128}")


def tell(http: web.Request, request_id: str, status: int | None, seconds: float) -> None:
    """Write the line; `status` is None when the answer did not come to its end."""
    why = http.get(WHY)
    gone = ": client went away" if status is None and why is None else ""
    named = http.headers.get("x-request-id", "")
    fields = {
        "request": request_id,
        "client_request": named if _CLIENTS_ID.fullmatch(named) else None,
        "method": http.method if http.method in hdrs.METH_ALL else None,
        "path": path(http),
        "status": status,
        "seconds": round(seconds, 3),
        "key": http.get(KEY_ID),
        "why": why,
    }
    # Probes come every few seconds and tell nobody anything.
    log.log(logging.DEBUG if fields["path"] == "/healthz" else logging.INFO, "request ended%s", gone, extra=fields)


def path(http: web.Request) -> str | None:
    """The path as the server has it, without a session's id; None for what is none of its paths."""
    resource = http.match_info.route.resource
    return resource.canonical if resource is not None else None
