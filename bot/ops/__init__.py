"""What keeps a running process in order: its log, its jobs, its health endpoint, its ports.

Reading order: logs, bind_port, health, expiry_warnings, scheduler.
"""
