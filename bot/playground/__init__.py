"""A make-believe Slack workspace: Web API, Socket Mode, signed HTTP and a page. It is the demo and the tests' Slack.

Rule: it follows Slack's documentation and knows nothing of the bot. It listens on the loopback interface only.

Reading order: workspace/, web_api/, delivery/, page/, playground_server.
"""
