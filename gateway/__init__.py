"""The front door of the stack: read-only fronts for agents, readiness, the alert receiver and the status page."""
