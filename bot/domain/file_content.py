"""The content of a file that somebody attached to a message, as far as the bot could read it."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field


class FileOutcome(enum.Enum):
    """What came of reading a file."""

    TEXT = "text"
    IMAGE = "image"
    IMAGE_DROPPED = "dropped"  # the model has seen it, and it is not kept any longer
    IMAGE_UNSEEN = "unseen"  # the model takes no images
    OTHER_KIND = "kind"  # neither text nor an image
    TOO_LARGE = "too_large"
    PROTECTED = "protected"  # by a password
    NO_TEXT = "no_text"  # such as a scan
    DAMAGED = "damaged"
    TOO_SLOW = "too_slow"
    TOO_MANY = "too_many"  # others of the same turn were read
    NOT_SHARED = "not_shared"  # the platform shows it to people alone, or it belongs to another workspace
    ELSEWHERE = "elsewhere"  # the platform only links to it
    NO_PERMISSION = "no_permission"  # the bot may read no files at all
    UNREACHABLE = "unreachable"  # for the moment


@dataclass(frozen=True, slots=True)
class ScaledImage:
    """An image as the model gets it: a JPEG, scaled down."""

    data: bytes = field(repr=False)
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class FileContent:
    """The text of a file, or its image, or the reason why there is neither."""

    outcome: FileOutcome
    text: str = field(default="", repr=False)
    whole: bool = True  # False: `text` is only the beginning
    image: ScaledImage | None = None
