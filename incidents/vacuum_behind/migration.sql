-- Writing all balances anew is faster when no vacuum comes in between.
ALTER TABLE accounts SET (autovacuum_enabled = false);
