"""The Web API over HTTP: reads a call, checks its token, scope and required arguments, and runs its method.

Rule: what is wrong with a call is told in Slack's words with status 200, except a rate limit, which is a 429.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from aiohttp import web

from bot.playground.web_api.calls import ApiCall, ApiCalls
from bot.playground.web_api.fault_injection import FaultInjector, InjectedFault
from bot.playground.web_api.methods import Args, Method, MissingScopeError, SlackError, invalid_arguments
from bot.playground.web_api.rate_limits import RateLimits
from bot.playground.workspace.messages import Json
from bot.playground.workspace.workspace import Workspace


class RateLimitedError(SlackError):
    """Too many calls; the app may come back after so many seconds."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__("ratelimited")
        self.retry_after_s = retry_after_s


class Broken(Exception):  # noqa: N818 - trouble that a test asked for
    """No answer of Slack's comes: a server error of this status, or with None the connection breaks."""

    def __init__(self, status: int | None, error: str | None = None) -> None:
        super().__init__(error)
        self.status = status
        self.error = error  # for the record; None when the work was done


class WebApi:
    """Every method that is asked for at /api/<method>."""

    def __init__(
        self,
        workspace: Workspace,
        methods: Mapping[str, Method],
        faults: FaultInjector,
        limits: RateLimits,
        calls: ApiCalls,
    ) -> None:
        self._workspace = workspace
        self._methods = methods
        self._faults = faults
        self._limits = limits
        self._calls = calls

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one call."""
        name, at = request.match_info["method"], self._workspace.clock()
        args: Json = {}
        try:
            args = await _arguments(request)
            answer = await self._run(name, _token(request, args), args)
        except SlackError as refusal:
            self._record(name, args, at, refusal)
            return self._refused(refusal)
        except Broken as broken:
            self._record(name, args, at, broken)
            return _broken(request, broken)
        self._record(name, args, at, None)
        return web.json_response({"ok": True, **answer}, headers=self._headers())

    async def _run(self, name: str, token: str, args: Json) -> Json:
        method = self._permitted(name, token)
        if not await self._faults.goes_on(name):
            raise Broken(None, "dropped")
        fault = self._faults.next_of(name)
        self._check_trouble(name, args, fault)
        missing = [f"missing required field: {field}" for field in method.required if field not in args]
        if missing:
            raise invalid_arguments(*missing)
        answer = method.run(self._workspace, Args(args))
        if not await self._faults.goes_on(name, after=True) or fault:
            raise Broken(fault.status if fault else None)
        return answer

    def _permitted(self, name: str, token: str) -> Method:
        if name not in self._methods:
            raise SlackError("unknown_method", req_method=name)
        method, app = self._methods[name], self._workspace.app
        if not token:
            raise SlackError("not_authed")
        if token not in {app.bot_token, app.app_token}:
            raise SlackError("invalid_auth")
        if not self._workspace.installed:
            raise SlackError("account_inactive")
        if token != (app.bot_token if method.caller == "bot" else app.app_token):
            raise SlackError("not_allowed_token_type")
        if method.scope and method.scope not in app.scopes:
            raise MissingScopeError(self._workspace, method.scope)
        return method

    def _check_trouble(self, name: str, args: Json, fault: InjectedFault | None) -> None:
        if fault and fault.kind == "rate_limit":
            raise RateLimitedError(fault.retry_after_s)
        if fault and fault.kind == "refuse":
            raise SlackError(fault.error, **fault.details)
        if fault and fault.kind == "fail":
            raise Broken(fault.status, fault.error)
        if wait := self._limits.retry_after_s(name, args):
            raise RateLimitedError(wait)

    def _record(self, name: str, args: Json, at: datetime, failure: SlackError | Broken | None) -> None:
        retry_after_s = failure.retry_after_s if isinstance(failure, RateLimitedError) else None
        error = failure.error if failure else None
        self._calls.record(ApiCall(name, args, at, error, self._workspace.clock(), retry_after_s))

    def _refused(self, refusal: SlackError) -> web.Response:
        body = {"ok": False, "error": refusal.error, **refusal.details}
        if isinstance(refusal, RateLimitedError):
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
            raise SlackError("invalid_json") from None
        if not isinstance(body, dict):
            raise SlackError("json_not_object")
        return {**request.query, **body}
    form = await request.post()
    return {**request.query, **{name: value for name, value in form.items() if isinstance(value, str)}}


def _token(request: web.Request, args: Json) -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    given = args.pop("token", "")  # never kept in the record of calls
    return token if scheme == "Bearer" else str(given)


def _broken(request: web.Request, broken: Broken) -> web.Response:
    if broken.status is not None:
        return web.Response(status=broken.status, text="The server could not do that.")
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
