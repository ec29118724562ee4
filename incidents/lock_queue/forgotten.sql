-- A look at the day's figures, in a transaction so that all of them are of one moment.
BEGIN;
SELECT status, count(*), sum(amount_minor) FROM payments WHERE created_at > now() - interval '1 hour' AND id > (
    SELECT last_payment_id FROM seed_info
) GROUP BY status;
