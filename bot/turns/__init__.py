"""Accept, claim, answer, settle: the work between a platform and the model.

Reading order: adapter (the port to a platform), cpu, pacer, interruption, token_accounts, answer, repeated_answer,
assistant, policies, running_turn, ledger, lock_keeper, leases, summary_queue, summariser, service, participants,
file_reader, erased_files, gatherer, reader_languages, refusals, handler, fair_queue, waiting_statuses, worker,
failed_deliveries, inbox, open_sessions, personal_data, request_limiter, session_locks, recall, caller_places,
chat_question, chat_reply, chat_service, chat_sessions.
"""
