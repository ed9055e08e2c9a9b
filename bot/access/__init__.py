"""Access: what of people's words may be stored and shown to the model.

Reading order: secret_shapes (what a secret looks like), redaction_patterns (the operator's own), redaction.
"""
