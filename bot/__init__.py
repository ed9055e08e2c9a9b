"""Attendant: the support attendant that lives in Slack threads.

Reading order, which is also the import rule (docs/architecture.md):
errors, config, wording, events, sessions, history, persona · adapter, llm, store · responder, attendant,
inbox, scheduler · terminal, slack, playground · app, cli.
"""
