"""Connections of our own to providers: from a request's bytes to the pieces of an answer."""
