"""Events and interactions that Slack sends to the bot.

Reading order: event_secrets, message_events, events_api, installations, malformed_requests, entrances, interactions/,
listeners/, bolt_app, socket_mode, http_mode, transport.
"""
