"""The workspace itself: people, channels, messages, and the rules for posts.

Reading order: people, messages, mrkdwn, rules, block_kit, view_kit, surfaces, changes, transcript, watch,
thread_statuses, state, interactions, administration, workspace, sample, pings, message_json, forwarding, view_json.
"""
