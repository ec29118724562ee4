SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = 'payments' AND state LIKE 'idle in transaction%' AND xact_start < now() - interval '20 seconds';
