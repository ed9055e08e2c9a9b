"""Attendant: the support attendant that lives in Slack threads.

Reading order, which is also the import rule: errors, config, events, sessions, wording, people, background,
history, persona, preferences · logs, manifest, adapter, llm, store · tools, responder, roster, attendant, turnstile,
worker, refusals, inbox, forewarning, scheduler, health, testing · terminal, slack, playground · checks, app, service,
cli.
"""
