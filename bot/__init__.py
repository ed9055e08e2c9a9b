"""Attendant: the support attendant that lives in Slack threads.

Reading order, which is also the import rule: errors, config, events, sessions, wording, tokens, people, background,
history, budget, prompt, persona, preferences · logs, manifest, adapter, llm, store · tools, responder, summariser,
roster, running, attendant, turnstile, worker, refusals, inbox, forewarning, scheduler, health, testing · terminal,
slack, playground · checks, app, service, cli.
"""
