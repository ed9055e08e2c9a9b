"""The domain: pure values and rules, without I/O.

Reading order: lookalikes, events, direct_messages, sessions, personal_data, texts, activities, preferences, api_keys.
"""
