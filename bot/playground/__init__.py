"""A make-believe Slack workspace: Web API, Socket Mode, signed HTTP and a page. The demo, and the tests' Slack.

Rule: it knows Slack's contract, not the bot. It listens on the loopback only and its third-party library is aiohttp.

Reading order: workspace/, web_api/, delivery/, page/, server.
"""
