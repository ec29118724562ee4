ALTER SYSTEM RESET max_wal_size;
ALTER ROLE payment_app RESET synchronous_commit;
SELECT pg_reload_conf();
DROP TABLE IF EXISTS payments_snapshot;
