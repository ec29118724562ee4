"""The topology on a Kubernetes cluster."""
