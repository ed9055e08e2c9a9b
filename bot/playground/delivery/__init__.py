"""Events and gestures on their way to the app, over Socket Mode or signed HTTP.

Reading order: event_payloads, gesture_payloads, responses, deliveries, http_delivery, socket_mode.
"""
