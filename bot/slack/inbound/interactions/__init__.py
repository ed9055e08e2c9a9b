"""The work behind slash commands, shortcuts, buttons and the modal. The listeners acknowledge and call it.

Reading order: ephemeral_reply, resets, session_status, data_requests, preferences_editor, greeting.
"""
