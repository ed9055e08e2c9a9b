"""Errors: one tree, helpful messages, no secrets."""

from __future__ import annotations

import pytest

from bot import errors
from bot.errors import AttendantError, ConfigError, ModelError, PlatformError, StartupError, StoreUnavailable, Trouble


@pytest.mark.parametrize("kind", [ConfigError, StartupError, StoreUnavailable, PlatformError, ModelError])
def test_every_error_is_of_the_one_tree_and_drawn_in_it(kind: type[Exception]) -> None:
    """Every error derives from AttendantError and is listed in the module's tree."""
    assert issubclass(kind, AttendantError)
    assert kind.__name__ in (errors.__doc__ or "")


def test_a_wrong_setting_is_named_with_its_remedy() -> None:
    """The message names the variable, the problem and the remedy."""
    error = ConfigError("PORT", "is not a whole number", "Use for instance 3000.")

    assert str(error) == "PORT is not a whole number. Use for instance 3000."
    assert error.setting == "PORT"


def test_a_refusal_of_the_platform_keeps_its_code() -> None:
    """The error has the platform's code, and the message says which call failed."""
    error = PlatformError("is_archived", "posting the answer")

    assert (error.code, str(error)) == ("is_archived", "posting the answer: is_archived")


def test_a_model_error_has_its_trouble_and_detail() -> None:
    """The message has the kind of trouble and the detail."""
    error = ModelError(Trouble.TIMEOUT, "60 s of silence")

    assert (error.trouble, error.detail, str(error)) == (Trouble.TIMEOUT, "60 s of silence", "timeout: 60 s of silence")
