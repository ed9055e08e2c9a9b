"""From the bytes of a request to its meaning.

Reading order: headers, client_address, auth_throttle, auth, running_requests, request_models, validation,
request_messages, request.
"""
