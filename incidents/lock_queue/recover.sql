-- A session that went idle within a transaction keeps its locks until it ends.
SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity a
    WHERE a.datname = current_database() AND a.state LIKE 'idle in transaction%' AND a.application_name <> 'payment-service'
      AND EXISTS (SELECT FROM pg_locks l WHERE l.pid = a.pid AND l.relation = 'payments'::regclass);
-- The constraint of the migration, if it got through. Brief, so that nobody waits long behind it.
SET lock_timeout = '10s';
DO $$
BEGIN
    IF EXISTS (
        SELECT FROM pg_constraint WHERE conrelid = 'payments'::regclass AND conname = 'payments_amount_minor_limit'
    ) THEN
        ALTER TABLE payments DROP CONSTRAINT payments_amount_minor_limit;
    END IF;
END
$$;
RESET lock_timeout;
