"""The domain: pure values and rules, without I/O.

Reading order: lookalikes, language, file_content, events, direct_messages, listening, sessions, personal_data,
durations, quiet_texts, texts, file_texts, long_answer_texts, probe_texts, activities, preferences, api_keys.
"""
