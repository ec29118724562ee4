SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = 'payments' AND usename = 'dba' AND state LIKE 'idle in transaction%'
      AND xact_start < now() - interval '10 seconds';
ALTER ROLE dba RESET idle_in_transaction_session_timeout;
VACUUM (ANALYZE) customers;
