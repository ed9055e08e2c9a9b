"""Calls to the Web API: answers, statuses and ephemeral messages, and the threads and profiles that the bot reads.

Reading order: message_form, messages, edited_message, streamed_message, user_directory, user_groups, memberships,
file_downloads, thread_reader, status, streaming_policy, orphaned_messages, open_message, answer_messages,
answer_status, answer_file, answer_text, answer_writer, adapter, ephemeral_messages.
"""
