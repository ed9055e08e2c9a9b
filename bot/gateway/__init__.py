"""The gateway: an OpenAI-compatible HTTP API whose sessions are named by a header.

Reading order: errors (in OpenAI's shape), json_schema, schemas (what a request may be), request_messages, request,
headers, client_address, auth_throttle, access_log, auth (who may ask), completion (an answer in OpenAI's shape),
chat_completions, sessions, openapi, connection (what is no request), drain, server.
Rule: what is not supported is refused by name. Nothing that a client sends is ignored, but the name of a model that is
not offered: it means ours.
"""
