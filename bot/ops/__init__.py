"""Operations: logs, scheduled jobs, the health endpoint, HTTP servers.

Reading order: logs, bind_port, http_server, health, expiry_warnings, scheduler.
"""
