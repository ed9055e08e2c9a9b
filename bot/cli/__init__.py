"""The `attendant` command. A command's module is imported when the command is run, so that `--help` is quick.

Reading order: output, terminal_text, checks, run, chat, keys, admin, backup, live_doctor, doctor,
app_manifest, parser, main.
"""
