"""What is remembered: every line of SQL, and nothing else.

Reading order: tables, pool, engine (Store: one transaction at a time), schema (migrations), threads, locks, leases,
summaries, thread_context, display_names, sessions, settlement, claims (claim, settle), interruptions, preferences,
erasure, inbox (accept, reset, stop), posted_messages, edits (edit, delete), purge, export, status_requests, history,
chat_turns (begin, settle, withdraw), api_keys, metrics.
Rule: a store function takes a connection and plain arguments, and runs inside the caller's one transaction
(docs/decisions/0002-synchronous-store.md). Text that people or the model wrote sits in few columns only:
messages.text and .attachments, turns.answer, summaries.text, background.text, .attachments and .name, names.name,
preferences.wishes. Of an exchange that is to be answered once there is turns.request_digest as well: it goes with them.
"""
