"""The Docker target: a network, and a container for each service, sidecar and task."""
