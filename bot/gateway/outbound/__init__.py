"""What leaves the gateway.

Reading order: errors, access_log, response_models.
"""
