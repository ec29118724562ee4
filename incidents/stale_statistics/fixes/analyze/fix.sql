ANALYZE payments;
ALTER TABLE payments RESET (autovacuum_enabled);
