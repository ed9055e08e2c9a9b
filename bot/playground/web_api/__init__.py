"""Slack's Web API.

Reading order: fault_injection, rate_limits, calls, errors, arguments, methods, chat_methods, statuses, streams,
lookups, files, views, endpoint.
"""
