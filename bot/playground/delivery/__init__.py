"""Delivery of events and interactions to the app, over Socket Mode or signed HTTP.

Reading order: event_payloads, interaction_payloads, delivery, responses, outcomes, deliveries, http_delivery,
socket_mode.
"""
