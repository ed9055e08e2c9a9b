"""The Slack edge. No other folder imports slack_bolt or slack_sdk.

Reading order: text/, identity, errors, log_redaction, client, message_fields, message_content, permalinks,
monotonic_clock, rate_limit_tiers, rate_limiter, startup_checks, views/ (Block Kit), outbound/ (calls to the Web
API), port (the calls into the work layer), inbound/ (events and interactions from Slack).
"""
