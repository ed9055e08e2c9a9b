"""Budget: how much may be sent to a model, and what its usage and its refusals teach about it."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.config.settings import Settings
from bot.errors import ConfigError
from bot.prompt import persona
from bot.prompt.budget import LEAST_ROOM, MAX_RATIO, RESERVE, UNKNOWN_WINDOW, Budget, budget_for, window_of
from bot.prompt.compose import PromptParts, compose
from bot.prompt.history import Past, Turn, Utterance
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


def test_the_room_is_what_reserve_answer_and_persona_leave() -> None:
    """A tenth of the window is reserved for errors of the estimate."""
    assert budget().room(200).tokens == 8_000 * 9 // 10 - 1_000 - 200


def test_the_operators_bound_holds_besides_the_persona() -> None:
    """HISTORY_TOKENS limits the cost, however wide the window is."""
    assert budget(window=1_000_000, history=12_000).room(5_000).tokens == 12_000


def test_in_a_narrow_window_the_answer_does_not_take_everything() -> None:
    """The answer gets at most a quarter of the window."""
    assert budget(window=4_000, answer=50_000).room(0).tokens == 4_000 * 9 // 10 - 1_000


def test_there_is_always_some_room() -> None:
    """A persona that fills the window leaves room for a question."""
    assert budget().room(20_000).tokens == LEAST_ROOM


def test_a_request_that_cost_more_than_estimated_makes_careful_at_once() -> None:
    """By the same ratio, the next request stays within the window."""
    learnt = budget()
    learnt.learn(1_000, 1_500)

    assert learnt.room(0).tokens == int((8_000 * 9 // 10 - 1_000) / 1.5)


def test_care_is_given_up_slowly_and_never_below_the_estimate() -> None:
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
def test_where_it_starts_a_request_fits(window: int, tools: str) -> None:
    """The start counts the tokens of the tools: it refuses a window that persona, tools and a question exceed."""
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
def test_what_tells_nothing_teaches_nothing(estimated: int, counted: int) -> None:
    """Short requests, which mostly cost overhead, and missing usage do not change the ratio."""
    learnt = budget()
    learnt.learn(estimated, counted)

    assert learnt.room(0) == budget().room(0)


def test_a_backend_that_drops_text_in_silence_is_noticed_once(caplog: pytest.LogCaptureFixture) -> None:
    """A count far below the estimate is logged once with the remedy, and does not change the ratio."""
    learnt = budget()
    for _ in range(2):
        learnt.learn(6_000, 2_048)

    assert [(record.levelno, record.message) for record in caplog.records] == [
        (logging.WARNING, "prompt_truncated_by_backend")
    ]
    assert "MODEL_WINDOW_TOKENS" in str(vars(caplog.records[0])["remedy"])
    assert learnt.room(0) == budget().room(0)


def test_a_refusal_that_tells_the_window_is_believed() -> None:
    """The window from the error counts, and the ratio is corrected with it."""
    learnt = budget(window=128_000)
    learnt.exceeded(6_000, 8_192)

    assert learnt.window == 8_192
    assert learnt.room(0).tokens < 6_000 * 0.9


def test_a_refusal_never_widens_the_window() -> None:
    """If a request is refused that should fit, the backend counts more tokens: the ratio is corrected."""
    learnt = budget()
    learnt.exceeded(6_000, 9_000)

    assert learnt.window == 8_000
    assert learnt.room(0).tokens < 6_000 * 0.9


def test_a_window_that_should_have_sufficed_is_not_believed() -> None:
    """A number that is too large to be the window is ignored; much less is sent, as without a number."""
    believed, guessed = budget(), budget()
    believed.exceeded(6_000, 128_000)
    guessed.exceeded(6_000, None)

    assert believed.window == guessed.window < 6_000


def test_a_refusal_of_next_to_nothing_is_no_lesson() -> None:
    """The refusal of a tiny request changes nothing, because it cannot be about the window."""
    learnt = budget()
    learnt.exceeded(20, None)

    assert learnt.room(0) == budget().room(0)


@given(st.integers(3_000, 300_000), st.none() | sizes)
def test_after_a_refusal_less_is_sent(estimated: int, window: int | None) -> None:
    """After any refusal, the next request is smaller than the refused one."""
    learnt = budget(window=400_000)
    learnt.exceeded(estimated, window)

    assert learnt.room(0).tokens < estimated


@given(st.lists(st.tuples(sizes, sizes), max_size=20))
def test_whatever_is_learnt_there_is_room(answers: list[tuple[int, int]]) -> None:
    """After any counts that a backend reports, there is some room, and never more than the window."""
    learnt = budget()
    for estimated, counted in answers:
        learnt.learn(estimated, counted)

    assert (8_000 * 0.9 - 1_000) / MAX_RATIO - 1 <= learnt.room(0).tokens <= 8_000 * 0.9 - 1_000
    assert learnt.room(0).most == budget().room(0).most
