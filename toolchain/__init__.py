"""The tools that the demo needs and how each is had: found, downloaded, or built from package registries."""
