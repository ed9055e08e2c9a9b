"""Slack's Web API, as the workspace serves it.

Reading order: fault_injection, rate_limits, calls, methods, chat_methods, statuses, streams, lookups, files, views,
endpoint.
"""
