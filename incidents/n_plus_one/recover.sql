-- A deleted merchant is looked for in payments, which has no index that serves: so it gets one, which is empty and quickly made.
SET plan_cache_mode = force_custom_plan;
DROP INDEX CONCURRENTLY IF EXISTS payments_merchant_id_idx;
CREATE INDEX CONCURRENTLY payments_merchant_id_idx ON payments (merchant_id) WHERE merchant_id > 100000;
DELETE FROM merchant_daily_totals WHERE merchant_id > 100000;
DELETE FROM settlement_runs WHERE merchant_id > 100000;
DELETE FROM merchants WHERE id > 100000;
DROP INDEX CONCURRENTLY IF EXISTS payments_merchant_id_idx;
VACUUM (ANALYZE) merchants, settlement_runs;
