"""The Web API over HTTP: reads a call, checks its token, scope and required arguments, and runs its method.

Rule: what is wrong with a call is told in Slack's words with status 200, except a rate limit, which is a 429.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from bot.playground.calls import Call, Calls
from bot.playground.faults import Fault, Faults
from bot.playground.messages import Json
from bot.playground.methods import Args, Method, MissingScope, Refusal, invalid_arguments
from bot.playground.rate_limits import RateLimits
from bot.playground.workspace import Workspace


class RateLimited(Refusal):
    """Too many calls; the app may come back after so many seconds."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__("ratelimited")
        self.retry_after_s = retry_after_s


class WebApi:
    """Every method that is asked for at /api/<method>."""

    def __init__(
        self, workspace: Workspace, methods: Mapping[str, Method], faults: Faults, limits: RateLimits, calls: Calls
    ) -> None:
        self._workspace = workspace
        self._methods = methods
        self._faults = faults
        self._limits = limits
        self._calls = calls

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one call."""
        name = request.match_info["method"]
        args: Json = {}
        try:
            args = await _arguments(request)
            answer = await self._run(name, _token(request, args), args)
        except Refusal as refusal:
            self._record(name, args, refusal.error)
            return self._refused(refusal)
        self._record(name, args, None)
        if answer is None:
            return _lost(request)
        return web.json_response({"ok": True, **answer}, headers=self._headers())

    async def _run(self, name: str, token: str, args: Json) -> Json | None:
        """The answer, or None when it gets lost."""
        method = self._permitted(name, token)
        if hold := self._faults.hold_of(name):
            await hold.wait()
        fault = self._faults.next_of(name)
        self._check_trouble(name, fault)
        missing = [f"missing required field: {field}" for field in method.required if field not in args]
        if missing:
            raise invalid_arguments(*missing)
        answer = method.run(self._workspace, Args(args))
        return None if fault else answer

    def _permitted(self, name: str, token: str) -> Method:
        if name not in self._methods:
            raise Refusal("unknown_method", req_method=name)
        method, app = self._methods[name], self._workspace.app
        if not token:
            raise Refusal("not_authed")
        if token not in {app.bot_token, app.app_token}:
            raise Refusal("invalid_auth")
        if token != (app.bot_token if method.caller == "bot" else app.app_token):
            raise Refusal("not_allowed_token_type")
        if method.scope and method.scope not in app.scopes:
            raise MissingScope(self._workspace, method.scope)
        return method

    def _check_trouble(self, name: str, fault: Fault | None) -> None:
        if fault and fault.kind == "rate_limit":
            raise RateLimited(fault.retry_after_s)
        if fault and fault.kind == "refuse":
            raise Refusal(fault.error, **fault.details)
        if wait := self._limits.retry_after_s(name):
            raise RateLimited(wait)

    def _record(self, name: str, args: Json, error: str | None) -> None:
        self._calls.record(Call(name, args, self._workspace.clock(), error))

    def _refused(self, refusal: Refusal) -> web.Response:
        body = {"ok": False, "error": refusal.error, **refusal.details}
        if isinstance(refusal, RateLimited):
            return web.json_response(body, status=429, headers={"Retry-After": str(refusal.retry_after_s)})
        return web.json_response(body, headers=self._headers())

    def _headers(self) -> dict[str, str]:
        # docs.slack.dev/authentication/installing-with-oauth: every answer names the token's scopes
        return {"x-oauth-scopes": ",".join(sorted(self._workspace.app.scopes))}


async def _arguments(request: web.Request) -> Json:
    if request.content_type == "application/json":
        try:
            body: Any = json.loads(await request.read())
        except ValueError:
            raise Refusal("invalid_json") from None
        if not isinstance(body, dict):
            raise Refusal("json_not_object")
        return {**request.query, **body}
    form = await request.post()
    return {**request.query, **{name: value for name, value in form.items() if isinstance(value, str)}}


def _token(request: web.Request, args: Json) -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    given = args.pop("token", "")  # never kept in the record of calls
    return token if scheme == "Bearer" else str(given)


def _lost(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
