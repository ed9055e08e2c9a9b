"""Block Kit: the Home tab, the modal, and the blocks of ephemeral messages. Everything here is pure.

Reading order: block_elements, session_picker, forget_confirmation, kept_preferences, home_tab, preferences_modal.
"""
