"""Bolt's listeners: one file for each kind, by Bolt's names, and one for the Home tab. Each has a `register`.

Reading order: events, commands, shortcuts, actions, home.
"""
