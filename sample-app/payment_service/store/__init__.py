"""Access to PostgreSQL: the driver as the service sees it, the pool, retries, the circuit breaker, traced statements."""
