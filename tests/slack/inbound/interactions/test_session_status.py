"""bot.slack.inbound.interactions.session_status: `/attendant status`."""

from tests.support.slack_inbound_stage import inbound_stage


async def test_status() -> None:
    """`/attendant status` counts the person's open sessions in the channel, and lists the newest with links."""
    async with inbound_stage() as slack:
        slack.add_sessions(*map(str, range(60)))
        first, *lines, last = (await slack.command("/attendant", "status")).text.splitlines()

        assert "60 open conversations" in first
        assert lines[1] == (
            "• <https://harbour-and-co.slack.com/archives/C0HELPDESK/p1712345678000001|This one>: begun 1 hour ago, "
            "one turn, forgotten in 23 hours"
        )
        assert (len(lines), last) == (10, "And 50 more.")
