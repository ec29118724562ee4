ALTER TABLE accounts RESET (autovacuum_enabled);
VACUUM (ANALYZE) accounts;
