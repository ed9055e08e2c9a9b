"""The gateway: an OpenAI-compatible HTTP API whose sessions are named by a header.

Reading order: refusals (errors in OpenAI's shape), shapes, schemas (what a request may be), transcript, request (a
body, read), names, address, brake, journal, doorman (who may ask), completion (an answer in OpenAI's shape), chat,
sessions, openapi, connection (what is no request), drain, server.
Rule: what is not supported is refused by name. Nothing that a client sends is ignored, but the name of a model that is
not offered: it means ours.
"""
