"""The gateway: an OpenAI-compatible HTTP API. A header names a session, whose history is remembered.

Reading order: outbound (errors and answers), inbound (from bytes to a valid request), routes (the handlers), connection
(HTTP below the requests), drain, server.
Rule: the gateway refuses unsupported fields by name. It ignores nothing that a client sends, except the name of a model
that it does not offer: it then uses the default model.
"""
