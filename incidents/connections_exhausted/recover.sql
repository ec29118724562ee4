SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'payment_app' AND application_name = 'payments-batch';
DO $$
BEGIN
    EXECUTE format('ALTER ROLE payment_app CONNECTION LIMIT %s', current_setting('stack.connection_limit')::integer);
END $$;
