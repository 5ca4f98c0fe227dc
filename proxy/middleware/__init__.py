"""The steps between the wire and the provider: handlers around handlers, and plain functions."""
