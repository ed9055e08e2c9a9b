"""A make-believe Slack workspace: Web API, Socket Mode, signed HTTP and a page. The demo, and the tests' Slack.

Rule: it knows Slack's contract, not the bot. It listens on the loopback only and its third-party library is aiohttp.

Reading order: people, messages, surfaces, mrkdwn, pings, block_kit, view_kit · changes, transcript, watch, state,
workspace, cast · message_json, view_json, event_payloads, gesture_payloads, responses · faults, rate_limits, calls,
methods, chat, statuses, streams, lookups, files, views, web_api · deliveries, socket_mode, http_delivery · page_json,
page_feed, page_api, server.
"""
