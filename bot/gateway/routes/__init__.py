"""The handlers of the API's paths.

Reading order: chat_completions, sessions, openapi.
"""
