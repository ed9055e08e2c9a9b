"""Access: who may use the bot in Slack, and what of their words may be stored and shown to the model.

Reading order: access_rules, gatekeeper; secret_shapes (what a secret looks like), redaction_patterns (the operator's
own), redaction.
"""
