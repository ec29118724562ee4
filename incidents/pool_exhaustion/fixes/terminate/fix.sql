UPDATE acquirers SET capture_ms = 0 WHERE capture_ms > 0;
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'payment_app';
