"""What the service tells about itself: traces, logs, metrics."""
