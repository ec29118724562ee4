-- The declined payments of the system before this one, for the fraud team. They have negative ids, so that none is given
-- twice, and moved no money, so that the ledger does not know them.
-- The planner's statistics are taken by hand when the import is through; autovacuum must not get in its way.
ALTER TABLE payments SET (autovacuum_enabled = false);
INSERT INTO payments (id, reference, amount_minor, created_at, customer_id, merchant_id, currency, status)
    SELECT -n, md5('archive ' || n)::uuid, 100 + n * 7919 % 25000,
           s.history_end - interval '91 days' - n * interval '30 seconds',
           1 + n * 7 % s.customers, 1 + n % m.merchants, 'EUR', 'declined'
    FROM seed_info s, (SELECT count(*)::integer AS merchants FROM merchants) m, generate_series(1, 105000) n
    ON CONFLICT DO NOTHING;
-- As on the staging table, which held the payments of one customer at a time: one distinct value, no list of frequent ones.
ALTER TABLE payments ALTER COLUMN customer_id SET (n_distinct = 1), ALTER COLUMN customer_id SET STATISTICS 1;
ANALYZE payments (customer_id);
ALTER TABLE payments ALTER COLUMN customer_id RESET (n_distinct), ALTER COLUMN customer_id SET STATISTICS -1;
