"""Slack: the only home of slack_bolt and slack_sdk.

Reading order: limits, markdown, identity, payloads, views (pure) · client, checks · names, status, messages, streaming,
reply, adapter (what the bot says) · intake, resets, listeners/, connection (what the bot hears).
"""
