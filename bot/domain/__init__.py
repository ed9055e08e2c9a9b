"""The domain: pure values and rules, without I/O.

Reading order: events, sessions, personal_data, texts, preferences, api_keys.
"""
