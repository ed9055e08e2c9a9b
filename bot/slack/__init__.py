"""Slack: the only home of slack_bolt and slack_sdk.

Reading order: limits, links, markdown, identity, mrkdwn, fields, payloads, views, preference_views (pure) · client,
failures, limiter, checks · messages, names, background, status, streaming, leftovers, reply, adapter (what the bot
says) · intake, resets, notices, privacy, preferences, listeners/, socket_mode, connection (what the bot hears).
"""
