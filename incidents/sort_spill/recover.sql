ALTER ROLE payment_app RESET work_mem;
ALTER SYSTEM RESET work_mem;
SELECT pg_reload_conf();
-- Brief, so that nobody waits long behind them.
SET lock_timeout = '10s';
DROP TRIGGER IF EXISTS payments_announce_large ON payments;
DROP FUNCTION IF EXISTS announce_large_payment();
DO $$
DECLARE
    extra regclass;
BEGIN
    FOR extra IN
        SELECT indexrelid::regclass FROM pg_index
        WHERE indrelid = 'payments'::regclass AND indexrelid::regclass::text NOT IN (
            'payments_pkey', 'payments_reference_key', 'payments_customer_id_created_at_idx', 'payments_to_settle_idx'
        ) AND NOT indisunique
    LOOP
        EXECUTE format('DROP INDEX IF EXISTS %s', extra);
    END LOOP;
END
$$;
RESET lock_timeout;
