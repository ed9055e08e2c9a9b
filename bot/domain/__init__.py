"""The domain: pure values and rules, without I/O.

Reading order: lookalikes, events, sessions, personal_data, durations, texts, activities, preferences, api_keys.
"""
