"""The domain: pure values and rules, without I/O.

Reading order: events, sessions, texts, preferences, api_keys.
"""
