"""The handlers of the API's paths.

Reading order: sessions, openapi.
"""
