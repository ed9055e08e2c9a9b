"""Who is admitted: the permission matrix of people, places and ways in, cell by cell."""

from __future__ import annotations

import itertools

import pytest

from bot.access.access_rules import AccessRules, Answering, Entrance, Refusal, Standing

HOME, OTHER = "T1HOME", "T2OTHER"
MEMBER, GUEST, EXTERNAL = Standing(), Standing(is_guest=True), Standing(is_external=True)
GONE = Standing(is_deactivated=True)
MENTION, REPLY = Entrance("U1", HOME, "C1"), Entrance("U1", HOME, "C1", addressed=False)
DIRECT, AT_HOME = Entrance("U1", HOME, "D1", direct=True), Entrance("U1", HOME)
WAYS_IN = {"mention": MENTION, "reply": REPLY, "direct": DIRECT, "home": AT_HOME}

# By the setting: where a guest or a person of another organisation is admitted.
ADMITS = {
    Answering.ALWAYS: {"mention", "reply", "direct", "home"},
    Answering.MENTION: {"mention", "home"},
    Answering.NEVER: set[str](),
}


def of_other(entrance: Entrance) -> Entrance:
    """Return the same use by a person of another workspace."""
    return Entrance(entrance.user, OTHER, entrance.channel, entrance.direct, entrance.addressed)


@pytest.mark.parametrize(("answering", "way"), list(itertools.product(Answering, WAYS_IN)))
def test_guests(answering: Answering, way: str) -> None:
    """A guest is admitted where ANSWER_GUESTS allows it; a member everywhere."""
    rules = AccessRules(HOME, guests=answering)

    assert rules.refusal(WAYS_IN[way], GUEST, None) is (None if way in ADMITS[answering] else Refusal.GUEST)
    assert rules.refusal(WAYS_IN[way], MEMBER, None) is None


@pytest.mark.parametrize(("answering", "way"), list(itertools.product(Answering, WAYS_IN)))
def test_people_of_other_organisations(answering: Answering, way: str) -> None:
    """They are admitted where ANSWER_EXTERNALS allows it, also as guests of theirs; members never need it."""
    rules = AccessRules(HOME, externals=answering)
    expected = None if way in ADMITS[answering] else Refusal.EXTERNAL

    assert rules.refusal(of_other(WAYS_IN[way]), EXTERNAL, None) is expected
    assert rules.refusal(of_other(WAYS_IN[way]), Standing(is_guest=True, is_external=True), None) is expected
    assert rules.refusal(WAYS_IN[way], MEMBER, None) is None


def test_another_team_of_the_same_company_is_not_external() -> None:
    """In an Enterprise Grid, a colleague's team differs from the installation's."""
    assert AccessRules(HOME, externals=Answering.NEVER).refusal(of_other(MENTION), MEMBER, None) is None


@pytest.mark.parametrize("way", WAYS_IN)
def test_what_is_not_known_is_refused(way: str) -> None:
    """Where the rules need to know what a person is, or their groups, and Slack does not tell, they wait."""
    assert AccessRules(HOME, guests=Answering.NEVER).refusal(WAYS_IN[way], None, None) is Refusal.UNKNOWN
    assert AccessRules(HOME).refusal(of_other(WAYS_IN[way]), None, None) is Refusal.UNKNOWN
    assert AccessRules(HOME, allowed=frozenset({"S1"})).refusal(WAYS_IN[way], None, None) is Refusal.UNKNOWN


def test_by_default_no_look_up_is_needed() -> None:
    """A member's message costs no call of Slack."""
    assert not AccessRules(HOME).needs_standing(MENTION)
    assert AccessRules(HOME).groups == frozenset()
    assert AccessRules(HOME).refusal(MENTION, None, None) is None


@pytest.mark.parametrize("way", WAYS_IN)
def test_deactivated_people_are_refused(way: str) -> None:
    """Someone who has left is not served by a late event."""
    assert AccessRules(HOME, guests=Answering.MENTION).refusal(WAYS_IN[way], GONE, None) is Refusal.DEACTIVATED


@pytest.mark.parametrize(
    ("allowed", "denied", "groups", "way", "expected"),
    [
        ("", "", "", "mention", None),
        ("C1", "", "", "mention", None),
        ("C2", "", "", "mention", Refusal.CHANNEL),
        ("C2", "", "", "direct", None),  # a list of channels leaves direct messages and the Home tab alone
        ("C2", "", "", "home", None),
        ("", "C1", "", "mention", Refusal.CHANNEL),
        ("C1", "C1", "", "mention", Refusal.CHANNEL),  # the denied list wins
        ("U1", "", "", "mention", None),
        ("U2", "", "", "mention", Refusal.PERSON),
        ("U2", "", "", "home", Refusal.PERSON),
        ("U1 C2", "", "", "mention", Refusal.CHANNEL),  # both kinds must admit
        ("U1 C1", "", "", "mention", None),
        ("", "U1", "", "direct", Refusal.PERSON),
        ("S1", "", "S1", "mention", None),
        ("S1", "", "", "mention", Refusal.PERSON),
        ("S1 U1", "", "", "mention", None),  # a group or a person by name
        ("S1", "U1", "S1", "mention", Refusal.PERSON),
        ("", "S1", "S1", "reply", Refusal.PERSON),
        ("", "S1", "", "reply", None),
        ("T1HOME", "", "", "mention", None),
        ("T2OTHER", "", "", "mention", Refusal.WORKSPACE),
        ("", "T1HOME", "", "home", Refusal.WORKSPACE),
    ],
)
def test_lists(allowed: str, denied: str, groups: str, way: str, expected: Refusal | None) -> None:
    """A list of one kind limits that kind alone; the denied list wins."""
    rules = AccessRules(HOME, frozenset(allowed.split()), frozenset(denied.split()))

    assert rules.refusal(WAYS_IN[way], MEMBER, frozenset(groups.split())) is expected
