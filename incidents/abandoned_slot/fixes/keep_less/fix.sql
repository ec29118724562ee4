ALTER SYSTEM SET max_slot_wal_keep_size = '16MB';
SELECT pg_reload_conf();
CHECKPOINT;
