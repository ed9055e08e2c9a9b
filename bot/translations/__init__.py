"""The catalogues of the bot's own lines: one gettext file for each language that is not English.

`make translations` updates the .po files from the code, and tests/translations checks that no line is missing.
Reading order: catalogue.
"""
