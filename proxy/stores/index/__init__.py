"""Full-text search of the trace log: what its index holds, how it is made, and how it is asked."""
