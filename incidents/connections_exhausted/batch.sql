-- One worker of the monthly statements: it looks for work, and keeps its session for when there is some.
SELECT id, merchant_id FROM settlement_runs WHERE business_date = (now() AT TIME ZONE 'UTC')::date - 1 ORDER BY id LIMIT 20;
