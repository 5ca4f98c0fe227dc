"""Logs that released versions have written, as SQL, each with its rows as that version read them."""
