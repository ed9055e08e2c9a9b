"""`attendant doctor --live`: measure how Slack behaves in a channel, and write the file that the bot reads at start."""

from __future__ import annotations

from bot.cli import output
from bot.config.settings import Settings
from bot.errors import ConfigError
from bot.services import utc_now
from bot.slack import behaviour
from bot.slack.client import open_client, without_retries
from bot.slack.permalinks import permalink, thread_at
from bot.slack.probes.finding import Finding
from bot.slack.probes.live_measurement import measure
from bot.slack.probes.probe_channel import kind_of, recipient_in
from bot.slack.probes.scratch_thread import ScratchThread
from bot.slack.rate_limiter import RateLimiter
from bot.slack.startup_checks import identify


async def measure_live(settings: Settings, channel: str, *, as_json: bool, limiter: RateLimiter | None = None) -> int:
    """Measure in this channel, with a line for each probe. Return the exit status.

    It is 1 when a message could not be deleted. Raises ConfigError without a workspace, and StartupError when Slack
    cannot be reached or lets the bot post nothing.
    """
    if settings.mode == "playground":
        raise ConfigError("SLACK_BOT_TOKEN", "is not set, so that there is no Slack to measure", "Set Slack's tokens.")

    def tell(finding: Finding) -> None:
        if not as_json:
            output.print_finding(finding.tried, finding.did)

    async with open_client(settings) as client:
        bot = await identify(client)
        kind = await kind_of(client, channel)
        thread = ScratchThread(without_retries(client), limiter or RateLimiter(), bot, channel)
        thread.recipient = await recipient_in(client, bot, channel)
        if not as_json:
            output.print_finding("Measuring", f"in {channel}, for two minutes at most. Ctrl+C ends it.")
        findings = await measure(thread, kind, tell)
    saved = behaviour.save(settings.slack_behaviour_file, findings.measurement(kind, utc_now()))
    if as_json:
        output.print_json(saved.document())
    else:
        output.print_finding("Written", f"{settings.slack_behaviour_file}. The bot reads it at its next start.")
    if findings.left:
        link = permalink(thread_at(bot.team_id, channel, thread.root), bot.team_url)
        tell(Finding("Please delete", f"the messages that are left, in the thread {link}"))
    return 1 if findings.left else 0
