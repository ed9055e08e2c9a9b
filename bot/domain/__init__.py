"""The domain: pure values and rules, without I/O.

Reading order: lookalikes, file_content, events, direct_messages, sessions, personal_data, durations, texts,
file_texts, redaction_texts, access_texts, probe_texts, activities, preferences, api_keys.
"""
