"""What a thread works out of the trace log, beside whoever writes: the index of full-text search, and the sums."""
