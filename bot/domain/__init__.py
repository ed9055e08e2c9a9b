"""The domain: pure values and rules, without I/O.

Reading order: lookalikes, file_content, events, direct_messages, sessions, personal_data, language, language_names,
durations, texts, session_texts, file_texts, redaction_texts, access_texts, probe_texts, activities, preferences,
api_keys.
"""
