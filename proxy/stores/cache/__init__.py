"""The answer cache: on disk, or in memory."""
