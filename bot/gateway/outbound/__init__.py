"""What the gateway sends: errors, answers, and its access log.

Reading order: errors, access_log, response_models, completion.
"""
