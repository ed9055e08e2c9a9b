"""What Slack delivers to the bot.

Reading order: payloads, listeners/, bolt_app, socket_mode, transport.
"""
