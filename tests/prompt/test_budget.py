"""Budget: the size of a request to a model, and the corrections by its usage and its refusals."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.config.settings import Settings
from bot.errors import ConfigError
from bot.prompt import persona
from bot.prompt.budget import (
    FIRST_PAUSE,
    LEAST_ROOM,
    LONGEST_PAUSE,
    MAX_RATIO,
    RESERVE,
    UNKNOWN_WINDOW,
    Budget,
    budget_for,
    window_of,
)
from bot.prompt.compose import PromptParts, compose
from bot.prompt.history import Past, Turn, Utterance
from bot.testing import SettableClock
from bot.tools.set_preferences import cost_of_tools

sizes = st.integers(1, 300_000)


def budget(window: int = 8_000, answer: int = 1_000, history: int = 100_000) -> Budget:
    """Return the budget of a narrow model, without a limit on the history."""
    return Budget(window_tokens=window, answer_tokens=answer, history_tokens=history)


@pytest.mark.parametrize(
    ("model", "window"),
    [
        ("gpt-4", 8_192),
        ("gpt-4-0613", 8_192),
        ("gpt-4o-mini", 128_000),
        ("gpt-4.1", 1_047_576),
        ("gpt-5.4-mini", 272_000),
        ("openai/gpt-4o", 128_000),
        ("llama3.2", UNKNOWN_WINDOW),
    ],
)
def test_known_models_have_their_window(model: str, window: int) -> None:
    """The longest matching family name counts, also behind a router's prefix. Other models get a cautious window."""
    assert window_of(model) == window


def test_the_room_excludes_reserve_answer_and_persona() -> None:
    """A tenth of the window is reserved for errors of the estimate."""
    assert budget().room(200).tokens == 8_000 * 9 // 10 - 1_000 - 200


def test_history_tokens_limit_the_request_without_the_persona() -> None:
    """HISTORY_TOKENS limits the cost in any window."""
    assert budget(window=1_000_000, history=12_000).room(5_000).tokens == 12_000


def test_in_a_narrow_window_the_answer_does_not_take_everything() -> None:
    """The answer gets at most a quarter of the window."""
    assert budget(window=4_000, answer=50_000).room(0).tokens == 4_000 * 9 // 10 - 1_000


def test_there_is_always_some_room() -> None:
    """A persona that fills the window leaves room for a question."""
    assert budget().room(20_000).tokens == LEAST_ROOM


def test_an_underestimated_request_corrects_the_ratio_at_once() -> None:
    """By the corrected ratio, the next request stays within the window."""
    learnt = budget()
    learnt.learn(1_000, 1_500)

    assert learnt.room(0).tokens == int((8_000 * 9 // 10 - 1_000) / 1.5)


def test_the_ratio_falls_slowly_and_never_below_the_estimate() -> None:
    """The ratio falls slowly, because an expensive request may follow a cheap one."""
    learnt = budget()
    learnt.learn(1_000, 1_500)
    learnt.learn(1_000, 900)
    after_one = learnt.room(0).tokens
    for _ in range(1_000):
        learnt.learn(1_000, 900)

    assert after_one < budget().room(0).tokens * 0.75
    assert learnt.room(0).tokens == budget().room(0).tokens


def test_settings_make_a_budget() -> None:
    """The window from the settings comes before the model's."""
    assert budget_for(Settings(openai_model="gpt-4"), "Be kind.", extra_tokens=0).window == 8_192
    assert budget_for(Settings(model_window_tokens=4_096), "Be kind.", extra_tokens=0).window == 4_096


@pytest.mark.parametrize("tools", ["auto", "off"])
@pytest.mark.parametrize("window", range(1_000, 2_001, 100))
def test_a_started_bot_can_send_a_question(window: int, tools: str) -> None:
    """The start counts the tokens of the tools. It refuses a window that cannot hold persona, tools and a question."""
    settings, text = Settings(model_window_tokens=window, openai_tools=tools), persona.load()
    extra_tokens = cost_of_tools(settings)
    try:
        budget = budget_for(settings, text, extra_tokens=extra_tokens)
    except ConfigError:
        assert window <= 1_500
        return
    question = Turn((Utterance("U1", "My VPN is down. " * 100),))
    prompt = compose(text, PromptParts(Past(), question, about="It is noon.", extra_tokens=extra_tokens), budget)

    assert bool(extra_tokens) == (tools == "auto")
    assert prompt.tokens <= window * (1 - RESERVE) - window // 4


def test_a_persona_that_fills_the_window_stops_the_start() -> None:
    """The error is one line with the setting and the remedy."""
    with pytest.raises(ConfigError, match=r"^MODEL_WINDOW_TOKENS is 4096.*persona"):
        budget_for(Settings(model_window_tokens=4_096), "Be kind. " * 2_000, extra_tokens=0)


@pytest.mark.parametrize(("estimated", "counted"), [(20, 90), (1_000, 0)])
def test_short_requests_and_missing_usage_change_nothing(estimated: int, counted: int) -> None:
    """The ratio ignores short requests, which are mostly overhead, and answers without usage."""
    learnt = budget()
    learnt.learn(estimated, counted)

    assert learnt.room(0) == budget().room(0)


def test_a_backend_that_drops_text_in_silence_is_noticed_once(caplog: pytest.LogCaptureFixture) -> None:
    """A count far below the estimate is logged once with the remedy. It does not change the ratio."""
    learnt = budget()
    for _ in range(2):
        learnt.learn(6_000, 2_048)

    assert [(record.levelno, record.message) for record in caplog.records] == [
        (logging.WARNING, "prompt_truncated_by_backend")
    ]
    assert "MODEL_WINDOW_TOKENS" in str(vars(caplog.records[0])["remedy"])
    assert learnt.room(0) == budget().room(0)


def test_the_window_in_a_refusal_is_used() -> None:
    """The budget uses the window from the error and corrects the ratio with it."""
    learnt = budget(window=128_000)
    learnt.exceeded(6_000, 8_192)

    assert learnt.window == 8_192
    assert learnt.room(0).tokens < 6_000 * 0.9


def test_a_refusal_never_widens_the_window() -> None:
    """If the backend refuses a request that should fit, it counts more tokens. The ratio is corrected."""
    learnt = budget()
    learnt.exceeded(6_000, 9_000)

    assert learnt.window == 8_000
    assert learnt.room(0).tokens < 6_000 * 0.9


def test_a_window_larger_than_the_refused_request_is_ignored() -> None:
    """Such a number cannot be the window. The next request is much smaller, as without a number."""
    believed, guessed = budget(), budget()
    believed.exceeded(6_000, 128_000)
    guessed.exceeded(6_000, None)

    assert believed.window == guessed.window < 6_000


def test_a_refusal_of_a_tiny_request_changes_nothing() -> None:
    """The refusal of a tiny request cannot be about the window."""
    learnt = budget()
    learnt.exceeded(20, None)

    assert learnt.room(0) == budget().room(0)


@given(st.integers(3_000, 300_000), st.none() | sizes)
def test_the_request_after_a_refusal_is_smaller(estimated: int, window: int | None) -> None:
    """After any refusal, the next request is smaller than the refused one."""
    learnt = budget(window=400_000)
    learnt.exceeded(estimated, window)

    assert learnt.room(0).tokens < estimated


@given(st.lists(st.tuples(sizes, sizes), max_size=20))
def test_any_reported_counts_leave_room(answers: list[tuple[int, int]]) -> None:
    """After any counts that a backend reports, some room is left, and never more than the window."""
    learnt = budget()
    for estimated, counted in answers:
        learnt.learn(estimated, counted)

    assert (8_000 * 0.9 - 1_000) / MAX_RATIO - 1 <= learnt.room(0).tokens <= 8_000 * 0.9 - 1_000
    assert learnt.room(0).most == budget().room(0).most


def test_a_narrowed_window_is_tried_again(clock: SettableClock, caplog: pytest.LogCaptureFixture) -> None:
    """After a pause the budget uses the old window again, so that one odd refusal does not narrow it for ever."""
    caplog.set_level(logging.INFO)
    learnt = Budget(window_tokens=272_000, answer_tokens=1_000, history_tokens=100_000, clock=clock.now)
    before = learnt.room(0)
    learnt.exceeded(6_000, 600)
    clock.advance(FIRST_PAUSE - timedelta(seconds=1))
    assert learnt.window == 600
    clock.advance(timedelta(seconds=1))

    assert (learnt.window, learnt.room(0)) == (272_000, before)
    assert [record.message for record in caplog.records] == ["model_window_exceeded", "model_window_tried_again"]


def test_each_refusal_in_a_row_counts_for_longer(clock: SettableClock) -> None:
    """A window that is really narrow costs a refused request ever more rarely, at least once a day.

    Once a request wider than the refused window is answered, the next refusal counts for the first pause again.
    """
    learnt = Budget(window_tokens=16_000, answer_tokens=1_000, history_tokens=100_000, clock=clock.now)

    def pause() -> timedelta:
        learnt.exceeded(12_000, 8_000)
        begun = clock.now()
        while learnt.window < 16_000:
            clock.advance(FIRST_PAUSE)
        return clock.now() - begun

    pauses = [pause() for _ in range(12)]
    assert pauses[:3] == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE]
    assert pauses[-1] == LONGEST_PAUSE
    learnt.learn(12_000, 12_000)
    assert pause() == FIRST_PAUSE


def test_a_clock_set_back_does_not_prolong_a_narrow_window(clock: SettableClock) -> None:
    """The window is tried again at once."""
    learnt = Budget(window_tokens=16_000, answer_tokens=1_000, history_tokens=100_000, clock=clock.now)
    learnt.exceeded(12_000, 8_000)
    clock.advance(-timedelta(days=1))

    assert learnt.window == 16_000


@given(
    st.lists(st.tuples(sizes, st.none() | sizes, st.booleans()), max_size=20),
    st.none() | st.sampled_from(["gpt-4", "x"]),
)
def test_a_callers_budget_changes_no_other(events: list[tuple[int, int | None, bool]], model: str | None) -> None:
    """Whatever the backend reports about a caller's requests, our budget and other callers' stay as they were."""
    ours = budget(window=200_000)
    theirs, others = ours.for_caller(model), ours.for_caller(model)
    for estimated, number, is_refusal in events:
        theirs.exceeded(estimated, number) if is_refusal else theirs.learn(estimated, number or 0)

    assert ours.room(0) == budget(window=200_000).room(0)
    assert others.room(0) == budget(window=200_000).for_caller(model).room(0)
    assert theirs.room(0).tokens <= others.room(0).tokens


def test_our_corrections_count_for_callers_of_the_same_model() -> None:
    """A window and a ratio learnt from our own requests count for callers, except for models with a known window."""
    ours = budget(window=200_000)
    same, unknown, known = ours.for_caller(None), ours.for_caller("x"), ours.for_caller("gpt-4")
    ours.exceeded(20_000, 9_000)
    ours.learn(1_000, 2_000)

    assert same.room(0) == unknown.room(0) == ours.room(0)
    assert (known.window, known.ratio) == (8_192, 1.0)
