"""The journal: one log line for each request when it ends, for operators.

Rule: it holds no key, no session's id, and nothing that anybody wrote.
"""

from __future__ import annotations

import logging
import re

from aiohttp import hdrs, web

log = logging.getLogger(__name__)

ID = web.RequestKey("id", str)
KEY_ID = web.RequestKey("key_id", str)  # of a key that is known, whether it may ask or not
TOKENS = web.RequestKey("tokens", int)  # what its answer cost
CLIENT = web.RequestKey("client", str)  # the address that a wrong key came from
WHY = web.RequestKey("why", str)  # what the client was told: the error's code, or the parameter that it names

_CLIENTS_ID = re.compile(r"[!-~]{1,128}")


def tell(http: web.Request, status: int | None, seconds: float) -> None:
    """Write the line; `status` is None when the answer did not come to its end."""
    why = http.get(WHY)
    gone = ": client went away" if status is None and why is None else ""
    named = http.headers.get("x-request-id", "")
    fields = {
        "request": http[ID],
        "client_request": named if _CLIENTS_ID.fullmatch(named) else None,
        "method": http.method if http.method in hdrs.METH_ALL else None,
        "path": path(http),
        "status": status,
        "seconds": round(seconds, 3),
        "tokens": http.get(TOKENS),
        "key": http.get(KEY_ID),
        "client": http.get(CLIENT),
        "why": why,
    }
    # Probes come every few seconds and tell nobody anything.
    log.log(logging.DEBUG if fields["path"] == "/healthz" else logging.INFO, "request ended%s", gone, extra=fields)


def path(http: web.Request) -> str | None:
    """The path as the server has it, without a session's id; None for what is none of its paths."""
    if (resource := http.match_info.route.resource) is not None:
        return resource.canonical
    # It may be one that does not take this method.
    return next((each.canonical for each in http.app.router.resources() if _is_at(each, http.rel_url.raw_path)), None)


def _is_at(resource: web.AbstractResource, path: str) -> bool:
    told = resource.get_info()
    return told["pattern"].fullmatch(path) is not None if "pattern" in told else told.get("path") == path
