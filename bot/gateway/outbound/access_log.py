"""The access log: one event for each request when it ends.

Rule: it contains no key, no session's id, and no text that a person wrote.
"""

from __future__ import annotations

import logging
import re

from aiohttp import hdrs, web

from bot.metrics import HTTP_REQUESTS

log = logging.getLogger(__name__)

ID = web.RequestKey("id", str)
KEY_ID = web.RequestKey("key_id", str)  # set for every known key, also for one that is no longer valid
TOKENS = web.RequestKey("tokens", int)  # the cost of the answer
CLIENT = web.RequestKey("client", str)  # the client's address, set only for a wrong key
ERROR = web.RequestKey("error", str)  # the code of the error response, the parameter that it names, or its type

_REQUEST_ID = re.compile(r"[!-~]{1,128}")


def write(http: web.Request, status: int | None, seconds: float) -> None:
    """Log the end of a request. `status` is None if the response was not completed."""
    disconnected = "client_disconnected" if status is None else None
    client_request = http.headers.get("x-request-id", "")
    fields = {
        "request": http[ID],
        "client_request": client_request if _REQUEST_ID.fullmatch(client_request) else None,
        "method": http.method if http.method in hdrs.METH_ALL else None,
        "path": path(http),
        "status": status,
        "seconds": round(seconds, 3),
        "tokens": http.get(TOKENS),
        "key": http.get(KEY_ID),
        "client": http.get(CLIENT),
        "error": http.get(ERROR, disconnected),
    }
    HTTP_REQUESTS.labels(str(status or "disconnected")).observe(seconds)
    # Health probes come every few seconds and would drown the other requests.
    log.log(logging.DEBUG if fields["path"] == "/healthz" else logging.INFO, "http_request", extra=fields)


def path(http: web.Request) -> str | None:
    """Return the route's path, with `{id}` for a session's id; None for an unknown path."""
    if (resource := http.match_info.route.resource) is not None:
        return resource.canonical
    # The path may be known, but not with this method.
    resources = http.app.router.resources()
    return next((each.canonical for each in resources if _matches(each, http.rel_url.raw_path)), None)


def _matches(resource: web.AbstractResource, path: str) -> bool:
    info = resource.get_info()
    return info["pattern"].fullmatch(path) is not None if "pattern" in info else info.get("path") == path
