"""HTTP between the socket and the application: uvicorn's server, what a local one must refuse, a table of routes."""
