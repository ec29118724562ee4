-- A few at a time: those that were opened before the revocation began, the oldest first.
SELECT pg_terminate_backend(pid) FROM (
    SELECT s.pid FROM pg_stat_activity s, pg_stat_activity own
    WHERE own.pid = pg_backend_pid() AND s.usename = 'payment_app' AND s.application_name = 'payment-service'
      AND s.backend_start < own.backend_start
    ORDER BY s.backend_start LIMIT 2
) oldest;
