"""The work behind slash commands, shortcuts, buttons and the modal. The listeners acknowledge and call it.

Reading order: ephemeral_reply, session_resets, session_status, personal_data, preferences_editor.
"""
