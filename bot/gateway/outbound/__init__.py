"""The gateway's responses, errors and answers, and its access log.

Reading order: errors, access_log, response_models, completion, client_timeout.
"""
