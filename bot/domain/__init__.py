"""The words of the bot: pure values and rules, without I/O.

Reading order: events, sessions, texts, preferences, api_keys.
"""
