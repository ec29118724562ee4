"""Access to PostgreSQL.

The driver as the service sees it, the pool, retries, the circuit breaker, traced statements.
"""
