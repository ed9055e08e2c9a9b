"""The store: all stored data, and every line of SQL.

The files, by subject:
- schema and engine: `column_types`, `tables`, `pool`, `postgresql` (its connections), `engine` (Store: one transaction
  at a time), `schema` (migrations), `locks`, `lock_file` and `process_locks` (of processes that live), `lease_clock`
- SQLite's file: `sqlite_file` (old text in its bytes), `vacuum` (removes it in steps), `sqlite_backup`
- threads and sessions: `threads`, `sessions`, `stored_bytes` (how much they hold), `session_owners`,
  `closed_sessions` (erases large ones), `imported_turns` (go with them), `purge` (deletes old rows)
- the queue: `message_rows`, `inbox` (stores messages and commands), `listening` (quiet threads), `edits`,
  `status_requests`, `fixed_replies` (to commands), `refused_commands`, `leases`, `claims` (claim, settle),
  `settlement`, `interruptions`, `posted_messages` and `answer_files` (which hold the answers), `chat_turns` (turns of
  API callers), `repeated_turns` (by idempotency key), `recalled_turns` (what their sessions know), `unserved` (turns
  that no process will end), `workflow_limits`, `moved_channels` (their threads move with them)
- the model's input: `history`, `summaries`, `summary_parts`, `thread_context`, `file_contents` (of attached files),
  `display_names`
- people: `preferences`, `greetings`, `access_notices`, `forwarded_messages`, `erasure`, `export`
- keys and metrics: `api_keys`, `installation` (its secret), `metrics`

Reading order: column_types, tables, settlement, pool, postgresql, sqlite_file, vacuum, sqlite_backup, engine, schema,
threads, locks, lease_clock, leases, lock_file, process_locks, stored_bytes, summary_parts, summaries, file_contents,
thread_context, display_names, imported_turns, sessions, session_owners, closed_sessions, answer_files, fixed_replies,
claims, interruptions, moved_channels, preferences, greetings, access_notices, forwarded_messages, erasure,
workflow_limits, message_rows, listening, inbox, posted_messages, edits, purge, export, status_requests,
refused_commands, history, recalled_turns, repeated_turns, chat_turns, unserved, api_keys, installation, metrics.
Rule: a store function takes a connection and plain arguments, and runs inside the caller's transaction
(docs/decisions/0002-synchronous-store.md). Only a few columns hold texts that people or the model wrote: messages.text,
.attachments and .forwarded, turns.answer and .request_digest, summaries.text, summary_parts.text, background.text,
.attachments, .forwarded and .name, file_contents.text and .image, names.name, preferences.wishes.
"""
