"""Operations: logs, scheduled jobs, the health endpoint, ports.

Reading order: logs, bind_port, health, expiry_warnings, scheduler.
"""
