"""The trace log in SQLite: the way of a row into it, and every question to it."""
