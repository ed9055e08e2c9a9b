"""Bolt listeners, one file for each kind of request. Each file has a `register` function.

Reading order: events, commands, shortcuts, actions, view_submissions.
"""
