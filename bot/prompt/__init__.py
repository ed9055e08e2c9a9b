"""The prompt: everything that the model reads. Pure: no I/O and no clock of its own.

Reading order: marks, tokens, budget, attached_files, speakers, thread_context, history, client_history, persona,
compose, summary_parts, summary_request.
"""
