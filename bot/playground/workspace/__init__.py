"""The make-believe workspace itself: people, channels, messages, and the rules of what may be posted.

Reading order: people, messages, mrkdwn, block_kit, view_kit, surfaces, changes, transcript, watch, state, workspace,
sample, pings, message_json, view_json.
"""
