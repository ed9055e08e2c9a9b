"""The workspace itself: people, channels, messages, and the rules for posts.

Reading order: people, messages, mrkdwn, rules, block_kit, view_kit, slack_variant, surfaces, changes, transcript,
watch, thread_statuses, state, interactions, administration, workspace, sample, pings, message_json, view_json.
"""
