"""What is remembered: every line of SQL, and nothing else.

Reading order: tables, engine (Store: one transaction at a time), schema (migrations), threads, sessions, claims
(claim, settle), inbox (accept, reset, stop), erasure, edits (edit, delete), retention, export, history.
Rule: a store function takes a connection and plain arguments, and runs inside the caller's one transaction
(docs/decisions/0002-synchronous-store.md). Text that people or the model wrote sits in three columns only:
messages.text, messages.attachments, turns.answer.
"""
