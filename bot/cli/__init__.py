"""The `attendant` command.

Reading order: doctor, run, chat, keys, admin, main (arguments in, exit status out).
"""
