"""Settings: every knob, its default and its unit. The only reader of the environment.

Reading order: parsers, dotenv, secret_files, spelling, settings.
"""
