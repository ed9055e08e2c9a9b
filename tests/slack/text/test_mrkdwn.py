"""bot.slack.text.mrkdwn: Slack's mrkdwn as plain text."""

import pytest

from bot.slack.text.mrkdwn import plain_text


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("1 &lt; 2 &amp;&amp; 3 &gt; 2", "1 < 2 && 3 > 2"),
        ("&amp;lt;", "&lt;"),
        ("<https://x.y/a?b=1&amp;c=2>", "https://x.y/a?b=1&c=2"),
        ("<https://x.y|the page>", "the page (https://x.y)"),
        ("<http://x.y|x.y>", "http://x.y"),
        ("<mailto:a@b.c|a@b.c>", "a@b.c"),
        ("<#C2|general> and <#C3>", "#general and #some-channel"),
        ("<!subteam^S1|@it> <!subteam^S2>", "@it @subteam"),
        ("<!channel> <!here|here>", "@channel @here"),
        ("<!date^1^{date}|today>", "today"),
        ("<@U2|ben>", "<@U2>"),
        ("a <b> c", "a <b> c"),
    ],
)
def test_plain_text(text: str, plain: str) -> None:
    """Tokens and escapes become the text that people saw. Mentions of people stay as ids."""
    assert plain_text(text) == plain
