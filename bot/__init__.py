"""Attendant: the support attendant that lives in Slack threads.

Reading order, which is also the import rule: errors, config, events, sessions, wording, tokens, history, budget,
prompt, persona · logs, manifest, adapter, llm, store · responder, summariser, attendant, turnstile, worker, inbox,
scheduler, health, testing · terminal, slack, playground · checks, app, service, cli.
"""
