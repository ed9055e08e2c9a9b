"""The Web API over HTTP: it reads a call, checks its token, scope and required arguments, and runs its method.

Rule: a refusal has status 200 and Slack's error name. Only a rate limit has status 429.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from aiohttp import web

from bot.playground.web_api.arguments import Args
from bot.playground.web_api.calls import ApiCall, ApiCalls
from bot.playground.web_api.errors import MissingScopeError, RateLimitedError, SlackError, invalid_arguments
from bot.playground.web_api.fault_injection import FaultInjector, InjectedFault
from bot.playground.web_api.methods import Method
from bot.playground.web_api.rate_limits import RateLimits
from bot.playground.workspace.messages import Json
from bot.playground.workspace.workspace import Workspace


class NoResponse(Exception):  # noqa: N818 - a fault that a test injected
    """The app gets no response of Slack's: an HTTP error of this status, or with None a broken connection.

    `error` is for the log of calls. It is None when the call was carried out.
    """

    def __init__(self, status: int | None, error: str | None = None) -> None:
        super().__init__(error)
        self.status = status
        self.error = error


class WebApi:
    """Serves every method at /api/<method>."""

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
        """Respond to one call."""
        name, at = request.match_info["method"], self._workspace.clock()
        args: Json = {}
        try:
            args = await _arguments(request)
            fields = await self._run(name, _token(request, args), args)
        except SlackError as refusal:
            self._record(name, args, at, refusal)
            return self._refused(refusal)
        except NoResponse as failure:
            self._record(name, args, at, failure)
            return _without_response(request, failure)
        self._record(name, args, at, None)
        return web.json_response({"ok": True, **fields}, headers=self._headers())

    async def _run(self, name: str, token: str, args: Json) -> Json:
        method = self._permitted(name, token)
        if not await self._faults.may_continue(name):
            raise NoResponse(None, "dropped")
        fault = self._faults.take(name)
        _raise_injected(fault)
        if retry_after_s := self._limits.retry_after_s(name, args):
            raise RateLimitedError(retry_after_s)
        missing = [f"missing required field: {field}" for field in method.required if field not in args]
        if missing:
            raise invalid_arguments(*missing)
        fields = method.run(self._workspace, Args(args))
        if not await self._faults.may_continue(name, after=True) or fault:
            raise NoResponse(fault.status if fault else None)
        return fields

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
            raise MissingScopeError(app, method.scope)
        return method

    def _record(self, name: str, args: Json, at: datetime, failure: SlackError | NoResponse | None) -> None:
        retry_after_s = failure.retry_after_s if isinstance(failure, RateLimitedError) else None
        error = failure.error if failure else None
        self._calls.record(ApiCall(name, args, at, error, self._workspace.clock(), retry_after_s))

    def _refused(self, refusal: SlackError) -> web.Response:
        body = {"ok": False, "error": refusal.error, **refusal.details}
        if isinstance(refusal, RateLimitedError):
            return web.json_response(body, status=429, headers={"Retry-After": str(refusal.retry_after_s)})
        return web.json_response(body, headers=self._headers())

    def _headers(self) -> dict[str, str]:
        # docs.slack.dev/authentication/installing-with-oauth: every response names the token's scopes
        return {"x-oauth-scopes": ",".join(sorted(self._workspace.app.scopes))}


def _raise_injected(fault: InjectedFault | None) -> None:
    if fault and fault.kind == "rate_limit":
        raise RateLimitedError(fault.retry_after_s)
    if fault and fault.kind == "refuse":
        raise SlackError(fault.error, **fault.details)
    if fault and fault.kind == "fail":
        raise NoResponse(fault.status, fault.error)


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
    argument = args.pop("token", "")  # the log of calls must not contain it
    return token if scheme == "Bearer" else str(argument)


def _without_response(request: web.Request, failure: NoResponse) -> web.Response:
    if failure.status is not None:
        return web.Response(status=failure.status, text="The server could not do that.")
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
