"""Images in a request: the parts of OpenAI's form, and whether the backend takes them.

Rule: nobody can ask a backend whether its model sees images. It is found out by a refusal, which counts for a day.
"""

from __future__ import annotations

import base64
import logging
import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from bot.domain.file_content import ScaledImage
from bot.errors import Trouble
from bot.llm import Done
from bot.llm.errors import BackendFault
from bot.prompt.history import ChatMessage
from bot.prompt.marks import NO_IMAGES

log = logging.getLogger(__name__)

LATCH_S = 86_400.0  # a day: then the model behind the same name may be another one

# Any of these may refuse images. llama.cpp and Ollama say so with a 500, OpenRouter with a 404.
_REFUSALS = {Trouble.BAD_REQUEST, Trouble.NOT_FOUND}
_NAMES_IMAGES = re.compile(r"image|vision|multi-?modal|mmproj", re.IGNORECASE)
# Refusals of images as such: of the type of part, of the model's abilities, or of a content that is a list.
_TAKES_NONE = re.compile(
    r"image_url|vision|multi-?modal|mmproj|image (?:input|data)|support\w* images?\b|images? (?:is|are) not"
    r"|(?:must be|valid|expected)(?: a)? string|at most 0 image",
    re.IGNORECASE,
)
_OF_ONE_IMAGE = re.compile(r"image_(?:parse|too|format)|invalid_image|unsupported_image", re.IGNORECASE)


class ImageLatch:
    """Whether images are sent to one model."""

    def __init__(self, *, allowed: bool, clock: Callable[[], float] = time.monotonic) -> None:
        """`allowed` is the operator's decision. `clock` returns seconds."""
        self._allowed = allowed
        self._clock = clock
        self._refused_until = -math.inf

    @property
    def is_open(self) -> bool:
        """Whether images may be sent now."""
        return self._allowed and self._clock() >= self._refused_until

    def close(self, model: str) -> None:
        """Send no images for a day."""
        if self.is_open:
            log.warning("images_refused", extra={"model": model, "retry_in_s": int(LATCH_S)})
        self._refused_until = self._clock() + LATCH_S


class RequestImages:
    """The images of one request, which is made again without them when the backend refuses them."""

    def __init__(self, messages: Sequence[ChatMessage], latch: ImageLatch) -> None:
        self._messages = messages
        self._latch = latch
        self._given = any("images" in message for message in messages)
        self._sent = self._given and latch.is_open
        self._refusal: BackendFault | None = None

    @property
    def messages(self) -> Sequence[Mapping[str, Any]]:
        """The messages as they are sent now."""
        return in_openai_form(self._messages, with_images=self._sent) if self._given else self._messages

    def give_up(self, fault: BackendFault | None) -> bool:
        """Return whether this failure may be a refusal of the images; if so, send none from now on."""
        if not self._sent or fault is None or not may_blame_images(fault):
            return False
        self._sent, self._refusal = False, fault
        return True

    def done(self, done: Done) -> Done:
        """Return the end of the answer, which says whether the model saw the images. Remember a refusal of all."""
        if self._refusal is not None and takes_none(self._refusal):
            self._latch.close(done.model)
        return replace(done, images_unseen=self._given and not self._sent)


def in_openai_form(messages: Sequence[ChatMessage], *, with_images: bool) -> list[Mapping[str, Any]]:
    """Return the messages as OpenAI's API takes them. Without images, a mark in the text says that there were some.

    https://developers.openai.com/api/docs/guides/images-vision
    """
    return [_message(message, with_images=with_images) for message in messages]


def may_blame_images(fault: BackendFault) -> bool:
    """Return whether the backend may have refused a request for its images, so that one without them may be taken."""
    if fault.trouble in _REFUSALS:
        return True
    return fault.trouble is Trouble.UNAVAILABLE and _NAMES_IMAGES.search(fault.message) is not None


def takes_none(fault: BackendFault) -> bool:
    """Return whether this refusal is of all images, and not of the ones that were sent."""
    words = f"{fault.code} {fault.param} {fault.message}"
    return _TAKES_NONE.search(words) is not None and _OF_ONE_IMAGE.search(words) is None


def _message(message: ChatMessage, *, with_images: bool) -> Mapping[str, Any]:
    if "images" not in message:
        return message
    plain = {name: value for name, value in message.items() if name != "images"}
    if not with_images:
        return {**plain, "content": f"{message['content']}\n{NO_IMAGES}"}
    text = {"type": "text", "text": message["content"]}
    return {**plain, "content": [text, *(_part(image) for image in message["images"])]}


def _part(image: ScaledImage) -> Mapping[str, Any]:
    encoded = base64.b64encode(image.data).decode()
    return {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{encoded}"}}
