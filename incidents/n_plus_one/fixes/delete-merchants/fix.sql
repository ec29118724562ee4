DELETE FROM settlement_runs WHERE merchant_id > 100000;
CREATE INDEX CONCURRENTLY payments_merchant_id_idx ON payments (merchant_id) WHERE merchant_id > 100000;
SET plan_cache_mode = force_custom_plan;
DELETE FROM merchants WHERE id > 100000;
