"""The domain: pure values and rules, without I/O.

Reading order: lookalikes, file_content, events, direct_messages, listening, sessions, personal_data, language,
language_names, durations, quiet_texts, texts, session_texts, file_texts, redaction_texts, access_texts,
long_answer_texts, probe_texts, activities, preferences, api_keys.
"""
