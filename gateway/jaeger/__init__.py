"""TraceQL over Jaeger's query API, which knows services, operations, tags and durations."""
