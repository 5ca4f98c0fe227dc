"""Faults, made in earnest: a process that is killed, a disk that is full, an upstream that lies, a client that cheats.

`make faults` runs the long forms and writes docs/reliability.md; `make test` runs the short ones. See `catalogue`.
"""
