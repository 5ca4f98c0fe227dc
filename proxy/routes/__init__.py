"""The HTTP surface around the completion endpoint: logs, deployments, health."""
