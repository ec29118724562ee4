BEGIN;
UPDATE merchants SET name = name WHERE id = 42;
SELECT count(*), sum(amount_minor) FROM ledger_entries WHERE account_id = (SELECT id FROM accounts WHERE merchant_id = 42);
UPDATE merchants SET name = name WHERE id = 41;
COMMIT;
