ALTER SYSTEM SET max_wal_size = '32MB';
SELECT pg_reload_conf();
