"""Where bytes rest: the cache and the trace log."""
