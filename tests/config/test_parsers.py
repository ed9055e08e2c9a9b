"""Lists in settings: separated by commas, with each part checked. A wrong list raises a SettingsError."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_network
from typing import Any

import pytest

from bot.config import parsers
from bot.config.settings import Settings
from bot.errors import ConfigError


@pytest.mark.parametrize(
    ("parse", "text", "found"),
    [
        (parsers.names, " a, b ,,a", ("a", "b")),
        (parsers.models, "gpt-5.4, qwen3:8b", ("gpt-5.4", "qwen3:8b")),
        (parsers.prefixes, "/v1,/v10, /v1", ("/v1", "/v10")),
        (parsers.prefixes, "/v1/, /api/publicLLM", ("/v1", "/api/publicLLM")),
        (parsers.origins, "https://a.example, http://b.example:8080", ("https://a.example", "http://b.example:8080")),
        (parsers.networks, "10.0.0.0/8, ::1", (ip_network("10.0.0.0/8"), ip_network("::1"))),
    ],
)
def test_lists_are_read(parse: Callable[[str], object], text: str, found: object) -> None:
    """Blanks, duplicates and a trailing slash do not matter."""
    assert parse(text) == found


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("GATEWAY_PREFIXES", "v1"),
        ("GATEWAY_PREFIXES", "/"),
        ("GATEWAY_PREFIXES", "/a b"),
        ("GATEWAY_PREFIXES", "/{x}"),
        ("GATEWAY_PREFIXES", "/healthz"),
        ("GATEWAY_PREFIXES", "/healthz/"),
        ("GATEWAY_PREFIXES", "/v1/sessions,/v1"),
        ("GATEWAY_PREFIXES", "/v1,/v1/sessions"),
        ("GATEWAY_MODELS", ","),
        ("GATEWAY_MODELS", "gpt 5"),
        ("GATEWAY_ORIGINS", "*"),
        ("GATEWAY_ORIGINS", "example.com"),
        ("GATEWAY_ORIGINS", "https://example.com/"),
        ("GATEWAY_ORIGINS", "https://[::1"),
        ("GATEWAY_TRUSTED_PROXIES", "proxy.example"),
        ("GATEWAY_TRUSTED_PROXIES", "10.0.0.1/8"),
        ("GATEWAY_SYSTEM_MESSAGES", "replace"),
    ],
)
def test_an_invalid_list_stops_the_start(name: str, text: str) -> None:
    """One line names the setting and the problem."""
    with pytest.raises(ConfigError, match=rf"^{name} is not [^\n]+\.$"):
        Settings.load({name: text})


def test_the_default_lists() -> None:
    """By default there are two prefixes, no origin and no proxy."""
    settings: Any = Settings.load({})

    assert settings.gateway_prefixes == ("/v1", "/api/publicLLM")
    assert (settings.gateway_origins, settings.gateway_trusted_proxies) == ((), ())
