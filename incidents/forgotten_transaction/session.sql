-- Somebody looks at yesterday's largest settlements, and leaves the terminal without an end of the transaction.
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT merchant_id, payments, gross_minor FROM settlement_runs
    WHERE business_date = (now() AT TIME ZONE 'UTC')::date - 1 ORDER BY gross_minor DESC LIMIT 10;
