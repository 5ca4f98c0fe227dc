"""The original clients, unmodified, each in a process of its own: most read their address when they are imported."""
