"""The tests. Each file mirrors a module; `upstreams` holds the loopback vendors that they share."""
