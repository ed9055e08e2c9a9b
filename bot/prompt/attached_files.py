"""Attached files as the model reads them: their text between two marks, images, and the reason for unread ones.

Rule: pure. A file is untrusted, so that each line of its text is indented.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from bot.domain.events import Attachment
from bot.domain.file_content import FileContent, FileOutcome, ScaledImage
from bot.prompt.marks import ATTACHED, ATTACHED_IMAGE, FILE_BEGINS, FILE_ENDS, set_in, without_marks
from bot.prompt.tokens import estimate_tokens, fair_share, shorten

_PATCH = 32  # pixels: models count an image in squares of 28 to 32 pixels, or in fewer, larger tiles
_ONLY_BEGINNING = ", of which you are shown only the beginning"
_REASONS = {
    FileOutcome.IMAGE_DROPPED: "you were shown this image earlier",
    FileOutcome.IMAGE_UNSEEN: "you cannot look at images",
    FileOutcome.OTHER_KIND: "you cannot read this kind of file",
    FileOutcome.TOO_LARGE: "the file is too large",
    FileOutcome.PROTECTED: "the file is protected by a password",
    FileOutcome.NO_TEXT: "the file has no text that can be read",
    FileOutcome.DAMAGED: "the file is damaged",
    FileOutcome.TOO_SLOW: "reading the file took too long",
    FileOutcome.TOO_MANY: "these were too many files at once",
    FileOutcome.NOT_SHARED: "the file is not shared with you",
    FileOutcome.ELSEWHERE: "the file is stored outside of the chat platform",
    FileOutcome.NO_PERMISSION: "you may not open files here",
    FileOutcome.UNREACHABLE: "the file could not be downloaded",
}


def described(file: Attachment, description: str) -> str:
    """Return a file as the model reads it. `description` is its name and type, on one line and without brackets."""
    content = file.content
    if content is None:
        return ATTACHED.format(description)
    if content.outcome is FileOutcome.IMAGE:
        return ATTACHED_IMAGE.format(description)
    if content.outcome is FileOutcome.TEXT:
        begins = FILE_BEGINS.format(description + ("" if content.whole else _ONLY_BEGINNING))
        return f"{begins}\n\n{set_in(without_marks(content.text))}\n\n{FILE_ENDS}"
    return ATTACHED.format(f"{description}, because {_REASONS[content.outcome]}")


def shortened(files: Sequence[Attachment], most_tokens: int) -> list[Attachment]:
    """Return these files with texts of at most so many tokens together: the longest ones without their middle."""
    texts = [file.content.text if file.content is not None else "" for file in files]
    costs = [estimate_tokens(text) for text in texts if text]
    if sum(costs) <= most_tokens:
        return list(files)
    share = fair_share(costs, most_tokens)
    return [_with_text(file, shorten(text, share)) if text else file for file, text in zip(files, texts, strict=True)]


def text_tokens(files: Iterable[Attachment]) -> int:
    """Estimate the tokens of the files' texts."""
    return sum(estimate_tokens(file.content.text) for file in files if file.content is not None and file.content.text)


def images_of(files: Iterable[Attachment]) -> list[ScaledImage]:
    """Return the images that can be shown, in order."""
    contents = [file.content for file in files if file.content is not None]
    return [content.image for content in contents if content.image is not None]


def image_tokens(images: Iterable[ScaledImage]) -> int:
    """Estimate the tokens of these images, rather too many than too few."""
    return sum(math.ceil(image.width / _PATCH) * math.ceil(image.height / _PATCH) for image in images)


def _with_text(file: Attachment, text: str) -> Attachment:
    whole = file.content is None or file.content.whole
    return replace(file, content=FileContent(FileOutcome.TEXT, text, whole=whole))
