"""Attached files in a prompt: they count against the budget, and are cut between their own marks."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bot.domain.events import Attachment
from bot.domain.file_content import FileContent, FileOutcome, ScaledImage
from bot.prompt.attached_files import image_tokens
from bot.prompt.budget import Budget
from bot.prompt.compose import Prompt, PromptParts, compose
from bot.prompt.history import Past, Turn, Utterance, transcript, with_short_files
from bot.prompt.marks import FEWER_IMAGES, FILE_ENDS
from bot.prompt.tokens import estimate_tokens

PERSONA = "You are helpful."
ROOM = 2_000  # tokens
SQUARE = ScaledImage(b"", 320, 320)  # 100 tokens


def text_file(words: int, name: str = "a.txt") -> Attachment:
    """Return a file with so many words."""
    return Attachment("F1", name, "text/plain", 1, content=FileContent(FileOutcome.TEXT, "word " * words + "end"))


def image(size: ScaledImage = SQUARE) -> Attachment:
    """Return an image."""
    return Attachment("F1", "a.png", "image/png", 1, content=FileContent(FileOutcome.IMAGE, image=size))


def prompt(newest: Turn, *past: Turn) -> Prompt:
    """Return the prompt of a turn."""
    budget = Budget(window_tokens=100_000, answer_tokens=1_000, history_tokens=ROOM)
    return compose(PERSONA, PromptParts(Past(past), newest, {"U1": "Ana"}), budget)


def asks(*files: Attachment, text: str = "what is this?", answer: str | None = None) -> Turn:
    """Return a turn with these files."""
    return Turn((Utterance("U1", text, files),), answer, id=1)


def test_a_file_that_fits_is_shown_whole() -> None:
    """A file that takes less than half of the room is shown whole."""
    shown = prompt(asks(text_file(400)))

    assert (shown.files_cut, shown.shortened) == (False, False)
    assert shown.messages[-1]["content"].count("word") == 400


def test_several_files_share_the_room() -> None:
    """A short file beside a long one is shown whole, and each has both its marks."""
    shown = prompt(asks(text_file(50, "short.txt"), text_file(5_000, "long.txt")))
    text = shown.messages[-1]["content"]

    assert (shown.files_cut, shown.shortened) == (True, False)
    assert [text.count(mark) for mark in ("attached file short.txt", "attached file long.txt", FILE_ENDS)] == [1, 1, 2]
    assert text.endswith(f"end\n\n{FILE_ENDS}")


@given(st.integers(0, 4_000), st.lists(st.integers(0, 4_000), max_size=3), st.lists(st.integers(0, 4_000), max_size=2))
def test_files_stay_within_the_budget(words: int, newest: list[int], earlier: list[int]) -> None:
    """For any files and words, the prompt fits the room, and no file's text stands outside of its marks."""
    past = [asks(text_file(each), answer="ok") for each in earlier]
    shown = prompt(asks(*map(text_file, newest), text="ask " * words), *past)

    assert shown.tokens <= ROOM + estimate_tokens(PERSONA)
    if not shown.shortened:
        outside = [line for line in shown.messages[-1]["content"].splitlines() if not line.startswith("  ")]
        assert not any("word" in line for line in outside)


def test_images_count_against_the_budget() -> None:
    """An image has a number of tokens. Of too many images the first ones are shown, and a mark says so."""
    large = ScaledImage(b"", 704, 704)
    one, many = prompt(asks(image())), prompt(asks(*[image(large)] * 5))

    assert one.tokens >= image_tokens([SQUARE]) == 100
    assert len(one.messages[-1]["images"]) == 1
    kept = len(many.messages[-1]["images"])
    assert 0 < kept < 5
    assert many.messages[-1]["content"].endswith(FEWER_IMAGES.format(kept))
    assert (many.shortened, many.files_cut, one.files_cut) == (False, True, False)
    assert many.tokens <= ROOM + estimate_tokens(PERSONA)


def test_an_image_larger_than_the_room_is_left_out() -> None:
    """Where not even one image fits, none is sent."""
    shown = prompt(asks(image(ScaledImage(b"", 3_200, 3_200))))

    assert not shown.has_images
    assert shown.messages[-1]["content"].endswith(FEWER_IMAGES.format(0))


def test_images_of_joined_messages_stay() -> None:
    """Neighbouring messages of one role are sent as one, with all their images."""
    shown = prompt(asks(image()), asks(image()))

    assert len(shown.messages[-1]["images"]) == 2


def test_a_summary_reads_files() -> None:
    """The request for a summary holds the text of files, up to a share of its room."""
    text = transcript(with_short_files(asks(text_file(5_000), answer="ok"), 500), {"U1": "Ana"})

    assert "attached file a.txt" in text
    assert 300 < estimate_tokens(text) < 700
