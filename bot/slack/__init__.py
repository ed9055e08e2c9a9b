"""Slack: the only home of slack_bolt and slack_sdk.

Reading order: limits, links, markdown, identity, payloads, views (pure) · client, failures, limiter, checks ·
messages, names, status, streaming, leftovers, reply, adapter (what the bot says) · intake, resets, notices, listeners/,
socket_mode, connection (what the bot hears).
"""
