"""Text between Markdown and Slack: pure.

Reading order: links, markdown, mrkdwn, message_length.
"""
