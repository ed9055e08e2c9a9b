"""Conversion of text between Markdown and Slack's mrkdwn. Everything here is pure.

Reading order: deceptive_links, markdown_sanitizer, mrkdwn, block_text, markdown_blocks, message_splitter, read_back.
"""
