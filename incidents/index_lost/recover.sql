-- What an interrupted concurrent build left behind is of no use to any query, and IF NOT EXISTS would keep it.
SET lock_timeout = '10s';
DO $$
BEGIN
    IF EXISTS (
        SELECT FROM pg_index WHERE indexrelid = to_regclass('payments_customer_id_created_at_idx') AND NOT indisvalid
    ) THEN
        DROP INDEX payments_customer_id_created_at_idx;
    END IF;
END
$$;
RESET lock_timeout;

-- The definition of the service's own schema. Not CONCURRENTLY: that waits for every statement that has begun and shares
-- the processors with a dozen scans, which takes from ten seconds to a minute. While this one holds its lock payments
-- wait instead of scanning, so it is through within seconds; the service level is lost anyway.
SET lock_timeout = '20s';
CREATE INDEX IF NOT EXISTS payments_customer_id_created_at_idx
    ON payments (customer_id, created_at) WITH (fillfactor = 80);
RESET lock_timeout;

-- Others that were built in the meantime would only cost writes.
SET lock_timeout = '10s';
DO $$
DECLARE
    extra regclass;
BEGIN
    FOR extra IN
        SELECT indexrelid FROM pg_index
        WHERE indrelid = 'payments'::regclass AND indexrelid::regclass::text NOT IN (
            'payments_pkey', 'payments_reference_key', 'payments_customer_id_created_at_idx', 'payments_to_settle_idx'
        )
    LOOP
        EXECUTE format('DROP INDEX %s', extra);
    END LOOP;
END
$$;
RESET lock_timeout;
