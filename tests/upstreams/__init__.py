"""Loopback servers that speak each vendor's own wire format, for tests of everything that talks to one.

`scenario` says what a model answers and how its server misbehaves; `server` plays that over a socket; one file per wire
format knows the vendor's words; `fleet` starts all twelve. `test_vendors` holds them against the vendors' own clients.
"""
