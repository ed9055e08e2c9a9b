"""Images in a request: the form, and backends that refuse them."""

from __future__ import annotations

from typing import Any

import pytest

from bot.domain.file_content import ScaledImage
from bot.errors import ModelError
from bot.llm import Done
from bot.llm.errors import BackendFault
from bot.llm.image_parts import LATCH_S, ImageLatch, may_blame_images, takes_none
from bot.llm.openai import OpenAI
from bot.prompt.history import ChatMessage
from bot.prompt.marks import NO_IMAGES
from tests.support.openai_client import fails
from tests.support.openai_server import OpenAIServer, says

IMAGE = ScaledImage(b"jpeg", 40, 30)
ASKED: list[ChatMessage] = [{"role": "user", "content": "what is this?", "images": [IMAGE]}]

# Refusals as backends word them, with their status.
REFUSALS = {
    "OpenAI": (400, "Invalid content type. image_url is only supported by certain models."),
    "vLLM": (400, "This model is not a multimodal model."),
    "vLLM with a limit": (400, "At most 0 image(s) may be provided in one prompt."),
    "llama.cpp": (500, "image input is not supported - hint: you may need to provide the mmproj"),
    "Ollama": (500, "this model is missing data required for image input"),
    "DeepSeek": (400, "messages[1]: unknown variant `image_url`, expected `text`"),
    "Groq": (400, "'messages.1' : messages.1.content must be a string"),
    "OpenRouter": (404, "No endpoints found that support image input"),
    "pydantic": (422, "Input should be a valid string"),
}


def content_of(backend: OpenAIServer, number: int = -1) -> Any:
    """Return the content of the newest message in a request."""
    return backend.requests[number].body["messages"][-1]["content"]


async def end_of(model: OpenAI) -> Done:
    """Ask with an image, and return the end of the answer."""
    pieces = [piece async for piece in model.stream(ASKED)]
    assert isinstance(pieces[-1], Done)
    return pieces[-1]


async def test_an_image_follows_its_text(backend: OpenAIServer, model: OpenAI) -> None:
    """A message with images is sent as parts, the text first."""
    backend.script(says("a gate"))

    assert not (await end_of(model)).images_unseen
    assert content_of(backend) == [
        {"type": "text", "text": "what is this?"},
        {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,anBlZw=="}},
    ]


@pytest.mark.parametrize("backend_of", REFUSALS)
async def test_a_refusal_is_remembered(backend: OpenAIServer, model: OpenAI, backend_of: str) -> None:
    """A backend that refuses images gets the words at once, and later requests have no images."""
    status, message = REFUSALS[backend_of]
    backend.script(fails(status, message), says("no idea"), says("none"))

    assert (await end_of(model)).images_unseen
    assert (await end_of(model)).images_unseen
    assert content_of(backend) == f"what is this?\n{NO_IMAGES}"
    backend.assert_done()


async def test_one_bad_image_is_not_the_models_fault(backend: OpenAIServer, model: OpenAI) -> None:
    """A refusal of this image alone leaves it out of this request, and not out of later ones."""
    refusal = {"message": "You uploaded an unsupported image.", "code": "invalid_image_format"}
    backend.script(fails(400, refusal), says("no"), says("yes"))

    assert (await end_of(model)).images_unseen
    assert not (await end_of(model)).images_unseen
    backend.assert_done()


async def test_other_failures_are_not_blamed_on_images(backend: OpenAIServer, model: OpenAI) -> None:
    """A rate limit, a wrong key and a failing backend are reported as they are."""
    for status, message in ((429, "slow down"), (401, "wrong key"), (503, "busy")):
        backend.script(fails(status, message))
        with pytest.raises(ModelError):
            await end_of(model)
    backend.assert_done()


def test_a_latch_opens_again_after_a_day() -> None:
    """After a day images are sent again, because the model may be another one by then."""
    now = [0.0]
    latch = ImageLatch(allowed=True, clock=lambda: now[0])
    latch.close("m")
    assert not latch.is_open

    now[0] = LATCH_S
    assert latch.is_open


def test_an_operator_can_send_none() -> None:
    """With OPENAI_IMAGES=off no image is ever sent."""
    assert not ImageLatch(allowed=False).is_open


@pytest.mark.parametrize(("status", "blamed"), [(400, True), (422, True), (404, True), (401, False), (500, False)])
def test_what_may_be_a_refusal(status: int, *, blamed: bool) -> None:
    """A request that was not accepted may be refused for its images. A failing backend must name them."""
    assert may_blame_images(BackendFault.read({"message": "no"}, status)) is blamed
    assert not takes_none(BackendFault.read({"message": "no"}, status))
