"""Validation of a request's body: pydantic checks it, and the client gets one error in the API's own words.

Rule: pure. An error names the field, the problem and the allowed values. It never contains a value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import ValidationError

from bot.gateway.inbound.request_models import TAGS, RequestModel, Unsupported
from bot.gateway.outbound.errors import ApiError, invalid, unsupported

Model = TypeVar("Model", bound=RequestModel)
Detail = Mapping[str, Any]  # one error, as pydantic describes it (docs.pydantic.dev/latest/errors/validation_errors)

# pydantic takes 0.1 s to describe 100,000 errors, of which the client gets one.
MAX_ERRORS = 1_000

_ROLE_ERRORS = {"union_tag_not_found", "union_tag_invalid"}  # the fields of a message depend on its role
_SENTENCES = {
    "missing": "is missing",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "dict_type": "must be an object",
    "list_type": "must be an array",
    "string_type": "must be a string",
    "string_unicode": "must not contain unpaired surrogates",
    "bool_type": "must be true or false",
    "int_type": "must be an integer",
    "float_type": "must be a number",
    "none_required": "must be null",
    "value_error": "must be false",
    "literal_error": "must be {expected}",
    "greater_than_equal": "must be at least {ge:n}",
    "less_than_equal": "must be at most {le:n}",
    "string_too_short": "must not be empty",
    "string_too_long": "must have at most {max_length} characters",
    "too_short": "must not be empty",
    "too_long": "must have at most {max_length} items",
    "string_or_array": "must be a string or an array",
    "string_or_object": "must be a string or an object",
    "union_tag_not_found": "is missing",
    "union_tag_invalid": "must be one of {expected_tags}",
}


def validate(model: type[Model], body: object) -> Model:
    """Return the request. Raises ApiError, which names a field that is wrong."""
    try:
        return model.model_validate(body)
    except ValidationError as error:
        if error.error_count() > MAX_ERRORS:
            raise invalid(f"The request's body has more than {MAX_ERRORS} errors.") from None
        raise _api_error(error.errors(include_url=False, include_input=False)[0]) from None


def _api_error(detail: Detail) -> ApiError:
    path, kind = detail["loc"], detail["type"]
    if not path:
        return invalid("The request's body must be a JSON object.")
    param = _param(path)
    if kind == "extra_forbidden":
        return unsupported(param)
    if path[0] in Unsupported.model_fields:
        return unsupported(path[0])
    if kind in _ROLE_ERRORS:
        param = f"{param}.role"
    sentence = _SENTENCES.get(kind, "is not valid").format(**detail.get("ctx", {}))
    return invalid(f"Invalid value: '{param}' {sentence}.", param)


def _param(path: Sequence[int | str]) -> str:
    """Return a field's name in the API's notation: `messages[0].content[1].text`.

    pydantic's path also contains each message's role, and the tags of unions.
    """
    if path[0] == "messages":
        path = [*path[:2], *path[3:]]
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in path if part not in TAGS.values()]
    return "".join(parts).removeprefix(".")
