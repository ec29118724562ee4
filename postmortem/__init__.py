"""Checks a post-mortem against the stack: which of its claims the telemetry confirms."""
