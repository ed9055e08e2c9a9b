"""From the bytes of a request to its meaning.

Reading order: headers, client_address, auth_throttle, auth, request_models, validation, request_messages, request.
"""
