"""Buttons, dialogs, the Home tab and private notices.

Reading order: blocks, notices, resets, privacy, preference_blocks, personal_views.
"""
