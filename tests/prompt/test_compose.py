"""Compose: for any history and budget the prompt fits. It has the newest message and only whole turns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hypothesis import given
from hypothesis import strategies as st

from bot.prompt.budget import Budget
from bot.prompt.compose import Prompt, PromptParts, compose, compose_verbatim, filled
from bot.prompt.history import ChatMessage, HistoryWindow, Past, Turn, Utterance, read
from bot.prompt.marks import MISSING, NOTE_ENDS, SUMMARY_ENDS
from bot.prompt.thread_context import AuthorKind, EarlierMessage, ThreadContext
from bot.prompt.tokens import estimate_tokens

PERSONA = "You are helpful."
NAMES = {"U1": "Ana", "U2": "Ben"}
NOTE_BEGINS = "[Until “end of the note”"

words = st.text(st.sampled_from("ab 1.\n語🎉<"), max_size=120) | st.integers(0, 3_000).map(lambda size: "word " * size)
people = st.sampled_from(["U1", "U2", "U3"])
utterances = st.builds(Utterance, people, words)
messages = st.lists(utterances, min_size=1, max_size=3).map(tuple)


@dataclass(frozen=True, slots=True)
class Case:
    """A session at some moment, and a model."""

    past: Past
    newest: Turn
    budget: Budget
    about: str
    extra_tokens: int

    def parts(self) -> PromptParts:
        """Return the parts of the prompt."""
        return PromptParts(self.past, self.newest, NAMES, about=self.about, extra_tokens=self.extra_tokens)

    def prompt(self) -> Prompt:
        """Compose the case's prompt."""
        return compose(PERSONA, self.parts(), self.budget)


@st.composite
def cases(draw: st.DrawFn, by: Sequence[AuthorKind] = (AuthorKind.PERSON, AuthorKind.SELF)) -> Case:
    """Generate any history and budget; the first turn may have a thread context."""
    talk = draw(st.lists(st.tuples(messages, words | st.none()), max_size=12))
    past = [Turn(utterances, answer, 11 + n) for n, (utterances, answer) in enumerate(talk)]
    window = draw(st.builds(HistoryWindow, st.just(10), words, st.integers(0, 10), st.booleans()))
    newest = Turn(draw(messages), None, 99)
    if earlier := tuple(draw(st.lists(st.builds(EarlierMessage, st.just("1"), people, words, by=st.sampled_from(by))))):
        first, *others = [*past, newest]
        *past, newest = [replace(first, thread_context=ThreadContext(earlier)), *others]
    window_tokens, answer = draw(st.integers(1_000, 20_000)), draw(st.integers(1, 4_000))
    budget = Budget(window_tokens=window_tokens, answer_tokens=answer, history_tokens=draw(st.integers(100, 20_000)))
    budget.learn(1_000, draw(st.integers(1, 4_000)))
    return Case(Past(tuple(past), window), newest, budget, draw(words), draw(st.integers(0, 200)))


def cost(messages: tuple[ChatMessage, ...]) -> int:
    """Return the estimated tokens of these messages."""
    return sum(estimate_tokens(message["content"]) for message in messages)


@given(cases())
def test_a_prompt_fits_its_budget(case: Case) -> None:
    """Persona, summary, history, note and newest message together stay within the budget."""
    prompt = case.prompt()
    rest = estimate_tokens(PERSONA) + case.extra_tokens

    assert cost(prompt.messages) + case.extra_tokens <= prompt.tokens <= rest + case.budget.room(rest).tokens


@given(cases())
def test_user_and_assistant_messages_alternate(case: Case) -> None:
    """After one system message, user and assistant messages alternate, because strict backends require it."""
    persona, *messages = case.prompt().messages

    assert persona == {"role": "system", "content": PERSONA}
    assert [message["role"] for message in messages] == ["user", "assistant"] * (len(messages) // 2) + ["user"]


@given(cases([AuthorKind.PERSON]))
def test_the_oldest_turns_are_left_out_first(case: Case) -> None:
    """The shown turns are an unbroken end of the history, and the window begins right before them."""
    prompt = case.prompt()
    left = [turn for turn in case.past.turns if turn.id > prompt.window.after]
    answers = [message["content"] for message in prompt.messages if message["role"] == "assistant"]

    assert len(answers) == sum(bool(turn.answer) for turn in left)
    assert prompt.window.after >= case.past.window.after
    assert (prompt.window == case.past.window) == (len(left) == len(case.past.turns))


@given(cases())
def test_the_newest_message_is_whole_or_marked(case: Case) -> None:
    """If a part of the newest message is left out, a mark replaces it, and the person reads a note."""
    prompt = case.prompt()
    in_window = [turn for turn in case.past.turns if turn.id > prompt.window.after]
    *_, (*_, question) = read([*in_window, case.newest], NAMES, several=prompt.window.several)
    shown = prompt.messages[-1]["content"]

    assert prompt.shortened == (not shown.endswith(question["content"]))
    assert not prompt.shortened or "characters left out" in shown


@given(cases(), utterances, words, words)
def test_the_next_request_extends_this_one(case: Case, then: Utterance, answer: str, about: str) -> None:
    """The next request begins with this one, unless the window moves or the newest message was shortened."""
    prompt = case.prompt()
    in_window = tuple(turn for turn in case.past.turns if turn.id > prompt.window.after)
    past = Past((*in_window, replace(case.newest, answer=answer)), prompt.window)
    parts = PromptParts(past, Turn((then,), None, 100), NAMES, about=about, extra_tokens=case.extra_tokens)
    following = compose(PERSONA, parts, case.budget)
    *_, newest = read([*in_window, case.newest], NAMES, several=prompt.window.several)

    if following.window == prompt.window and all(message["content"] in lasting(prompt) for message in newest):
        assert lasting(following).startswith(lasting(prompt))


CALLS: Sequence[ChatMessage] = [
    {"role": "assistant", "content": "", "tool_calls": [{"id": "c1", "function": {"arguments": "{}" * 50}}]},
    {"role": "tool", "content": "42", "tool_call_id": "c1"},
]


@given(cases(), words, st.sampled_from([(), CALLS]))
def test_a_callers_additions_are_whole_or_refused(
    case: Case, instructions: str, following: Sequence[ChatMessage]
) -> None:
    """A caller's instructions follow the persona, and its messages follow the newest one. The budget still holds."""
    extra_tokens = case.extra_tokens
    parts = replace(case.parts(), instructions=instructions, following=tuple(following))
    prompt = compose(PERSONA, parts, case.budget)
    rest = estimate_tokens(PERSONA) + extra_tokens

    assert prompt.messages[0]["content"] == (f"{PERSONA}\n\n{instructions}" if instructions else PERSONA)
    assert [*prompt.messages[len(prompt.messages) - len(following) :]] == [*following]
    assert prompt.tokens >= cost(prompt.messages) + extra_tokens + 25 * len(following)
    assert prompt.shortened or prompt.tokens <= rest + case.budget.room(rest).tokens


@given(cases(), st.lists(words, min_size=1), words)
def test_verbatim_messages_are_whole_or_refused(case: Case, texts: list[str], instructions: str) -> None:
    """The model's window limits verbatim messages. HISTORY_TOKENS does not."""
    messages: list[ChatMessage] = [{"role": "user", "content": text} for text in texts]
    prompt = compose_verbatim(PERSONA, messages, case.budget, instructions=instructions, extra_tokens=case.extra_tokens)
    rest = estimate_tokens(PERSONA) + case.extra_tokens

    assert [*prompt.messages[1:]] == messages
    assert prompt.shortened == (prompt.tokens - rest > case.budget.widest(rest))


@given(cases())
def test_turns_before_the_window_are_due_for_compaction(case: Case) -> None:
    """Turns without a summary before the window are due for compaction. Later ones are due only in a crowded window."""
    prompt = case.prompt()

    if prompt.window.after > prompt.window.reaches:
        assert prompt.compaction is not None
        assert prompt.compaction.until >= prompt.window.after
    elif prompt.compaction is not None:
        assert prompt.compaction.until in {turn.id for turn in case.past.turns}


@given(cases(), st.lists(st.sampled_from([NOTE_ENDS, SUMMARY_ENDS, "\n", "\u2028", "\r", "x"])).map("".join))
def test_marks_cannot_be_forged(case: Case, text: str) -> None:
    """The lines of a preference or a summary are indented between marks. Each mark appears once at most."""
    quiet = [turn for turn in case.past.turns if not turn.messages[0].text.startswith("[")]
    case = replace(case, past=Past(tuple(quiet), replace(case.past.window, summary=text)), about=text)
    lines = [line for message in case.prompt().messages for line in message["content"].splitlines()]

    for ends in (NOTE_ENDS, SUMMARY_ENDS):
        assert lines.count(ends) <= 1
        assert bool(text.strip()) or ends not in lines


def lasting(prompt: Prompt) -> str:
    """Return the messages without the note."""
    *others, newest = prompt.messages
    before, mark, rest = newest["content"].rpartition(f"\n\n{NOTE_ENDS}\n\n")
    question = before.rpartition(NOTE_BEGINS)[0] + rest if mark else newest["content"]
    return "\0".join([*(f"{message['role']} {message['content']}" for message in others), f"user {question}"])


def composed(*past: Turn, window: HistoryWindow | None = None, about: str = "", history: int = 400) -> Prompt:
    """Return the prompt for a short question, within a budget of this many tokens."""
    newest = Turn((Utterance("U1", "now"),), None, 99)
    parts = PromptParts(Past(past, window or HistoryWindow()), newest, NAMES, about=about)
    return compose(PERSONA, parts, budget(history))


def budget(history_tokens: int) -> Budget:
    """Return a budget that the model's window does not limit."""
    return Budget(window_tokens=100_000, answer_tokens=1_000, history_tokens=history_tokens)


def turn(number: int, by: str = "U1") -> Turn:
    """Return a turn of about 50 tokens."""
    return Turn(
        (Utterance(by, f"question {number} " + "please tell me " * 7),), f"answer {number} " + "so it is " * 6, number
    )


def asks(turn: Turn) -> str:
    """Return the question of its only author."""
    return turn.messages[0].text.strip()


def test_the_order_of_a_prompt() -> None:
    """Persona, summary and turns come first. The note follows them, with the newest message."""
    prompt = composed(turn(3), window=HistoryWindow(2, "The code\nis 7319.", 2), about="Call her\nAna.")
    _persona, first, answer, newest = prompt.messages

    assert first["content"].splitlines()[1:] == ["", "  The code", "  is 7319.", "", SUMMARY_ENDS, "", asks(turn(3))]
    assert answer == {"role": "assistant", "content": turn(3).answer}
    assert newest["content"].startswith(NOTE_BEGINS)
    assert newest["content"].splitlines()[1:] == ["", "  Call her", "  Ana.", "", NOTE_ENDS, "", "now"]


def test_an_unanswered_question_stands_with_the_newest_message() -> None:
    """A question without an answer joins the newest message. The note still comes right before the newest message."""
    messages = composed(Turn((Utterance("U1", "hello?"),), None, 1), about="Call her Ana.").messages

    assert len(messages) == 2
    assert messages[1]["content"].startswith(f"hello?\n\n{NOTE_BEGINS}")
    assert messages[1]["content"].endswith(f"\n\n{NOTE_ENDS}\n\nnow")


def test_the_thread_context_stands_before_the_note() -> None:
    """Later requests have the same order. If there is little room, the thread context is shortened or left out."""
    by_self = EarlierMessage("2", "UBOT", "I do. " * 60, by=AuthorKind.SELF)
    talk = (EarlierMessage("1", "U2", "who knows VPNs?"), by_self)
    question, about = (Utterance("U1", "now"),), "Call her Ana."
    whole, short, none = (
        compose(
            PERSONA,
            PromptParts(Past(), Turn(question, thread_context=ThreadContext(before)), NAMES, about),
            budget(most),
        )
        for before, most in ((talk, 400), (talk, 240), (talk * 8, 240))
    )

    assert [message["role"] for message in whole.messages] == ["system", "user", "assistant", "user"]
    assert "characters left out" in short.messages[2]["content"]
    assert [message["role"] for message in none.messages] == ["system", "user"]
    assert all(NOTE_ENDS in prompt.messages[-1]["content"] for prompt in (whole, short, none))
    assert all(prompt.messages[-1]["content"].endswith("Ana: now") for prompt in (whole, short, none))


def test_the_share_of_the_room() -> None:
    """The share is the part of the room that the summary and the turns take, at most 1."""
    some, many = (Past(tuple(turn(number) for number in range(1, count))) for count in (3, 30))

    assert filled(PERSONA, Past(), budget(400)) == 0.0
    assert 0.3 < filled(PERSONA, some, budget(400)) < 0.35
    assert filled(PERSONA, Past(some.turns, HistoryWindow(0, "The code is 7319.", 0)), budget(400)) > filled(
        PERSONA, some, budget(400)
    )
    assert filled(PERSONA, many, budget(400)) == 1.0


def test_compaction_is_due_before_turns_are_left_out() -> None:
    """Compaction of the older half is due at three quarters of the room."""
    assert composed(*map(turn, range(1, 4))).compaction is None
    prompt = composed(*map(turn, range(1, 7)))

    assert prompt.window == HistoryWindow()
    assert prompt.compaction is not None
    assert 2 <= prompt.compaction.until <= 5


def test_a_full_window_shows_half_of_the_room() -> None:
    """Turns that had to be left out are due for compaction too."""
    prompt = composed(*map(turn, range(1, 20)))

    assert 200 - 60 < prompt.tokens - estimate_tokens(PERSONA) < 200 + 60
    assert prompt.compaction is not None
    assert prompt.compaction.until == prompt.window.after


def test_names_are_shown_after_the_other_authors_are_left_out() -> None:
    """Once several people have written, names are shown even if the other authors' turns are left out."""
    prompt = composed(turn(1, by="U2"), *map(turn, range(2, 20)))

    assert prompt.window.several
    shown = [message["content"].removeprefix(f"{MISSING}\n\n") for message in prompt.messages]
    assert {text[:5] for text, message in zip(shown, prompt.messages, strict=True) if message["role"] == "user"} == {
        "Ana: "
    }
    assert not composed(*map(turn, range(1, 20))).window.several


def test_the_model_reads_that_turns_are_missing() -> None:
    """The model reads that turns are missing, until a summary covers all of them."""
    window = HistoryWindow(after=4, summary="Ana has a cat.", reaches=3)
    late, in_time = composed(turn(5), window=window), composed(turn(5), window=replace(window, reaches=4))

    assert MISSING in repr(late.messages)
    assert "cat" in repr(late.messages)
    assert MISSING not in repr(in_time.messages)


def test_a_long_message_is_shown_the_same_later() -> None:
    """A shortened message keeps its shortened text in later requests, while there is room for its turn."""
    long = Turn((Utterance("U1", "a long story " * 500),), "I see.", 1)
    prompt = composed(long)

    assert prompt.window == HistoryWindow()
    assert "characters left out" in prompt.messages[1]["content"]
    assert not prompt.shortened
