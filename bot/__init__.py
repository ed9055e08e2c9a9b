"""Attendant: the support attendant that lives in Slack threads.

Reading order, which is also the import rule: errors, config, events, sessions, wording, history, persona · logs,
manifest, adapter, llm, store · responder, running, attendant, turnstile, worker, refusals, inbox, scheduler, health,
testing · terminal, slack, playground · checks, app, service, cli.
"""
