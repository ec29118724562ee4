ALTER SYSTEM SET max_wal_size = '2GB';
SELECT pg_reload_conf();
