BEGIN;
UPDATE merchants SET fee_bps = fee_bps WHERE id = 41;
SELECT count(*), sum(amount_minor) FROM ledger_entries WHERE account_id = (SELECT id FROM accounts WHERE merchant_id = 41);
UPDATE merchants SET fee_bps = fee_bps WHERE id = 42;
COMMIT;
