"""What the bot writes in Slack.

Reading order: messages, users, thread_reader, status, streaming_policy, orphaned_messages, answer_messages,
answer_writer, adapter.
"""
