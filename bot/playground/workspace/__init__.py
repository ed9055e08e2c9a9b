"""The workspace itself: people, channels, messages, and the rules for posts.

Reading order: people, messages, shared_files, mrkdwn, rules, block_kit, view_kit, slack_variant, surfaces, changes,
transcript, watch, thread_statuses, state, interactions, administration, workspace, file_sharing, sample, pings,
message_json, forwarding, view_json.
"""
