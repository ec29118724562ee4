ALTER TABLE payments RESET (autovacuum_enabled);
VACUUM (FULL, ANALYZE) payments;
