SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = 'standby_eu_1' AND active;
SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = 'standby_eu_1';
ALTER SYSTEM RESET max_slot_wal_keep_size;
SELECT pg_reload_conf();
DROP TABLE IF EXISTS payments_snapshot;
