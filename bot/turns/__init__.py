"""Accept, claim, answer, settle: the work between a platform and the model.

Reading order: adapter (the port to a platform), participants, answer, summariser, running_turn, handler, leases,
fair_queue, worker, failed_deliveries, inbox, session_locks, chat_reply, chat_service.
"""
