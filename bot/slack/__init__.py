"""Slack: the only home of slack_bolt and slack_sdk.

Reading order: text/, identity, errors, client, message_fields, threads, rate_limiter, startup_checks, outbound/ (what
the bot writes), port (what it hands to the work layer), views/, inbound/ (what Slack delivers).
"""
