"""The Slack edge. No other folder imports slack_bolt or slack_sdk.

Reading order: text/, identity, errors, log_redaction, client, message_fields, message_content, permalinks,
monotonic_clock, rate_limit_tiers, rate_limiter, startup_checks, behaviour, views/ (Block Kit), outbound/ (calls to
the Web API), probes/ (measuring how Slack behaves), port (the calls into the work layer), inbound/ (events and
interactions from Slack).
"""
