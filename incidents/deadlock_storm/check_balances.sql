BEGIN;
SELECT id, balance_minor FROM accounts WHERE merchant_id = 1 FOR NO KEY UPDATE;
SELECT id, amount_minor, status FROM payments
    WHERE merchant_id = 1 AND id > (SELECT max(id) - 2000 FROM payments) ORDER BY id FOR NO KEY UPDATE;
COMMIT;
BEGIN;
SELECT id, balance_minor FROM accounts WHERE merchant_id = 2 FOR NO KEY UPDATE;
SELECT id, amount_minor, status FROM payments
    WHERE merchant_id = 2 AND id > (SELECT max(id) - 2000 FROM payments) ORDER BY id FOR NO KEY UPDATE;
COMMIT;
BEGIN;
SELECT id, balance_minor FROM accounts WHERE merchant_id = 3 FOR NO KEY UPDATE;
SELECT id, amount_minor, status FROM payments
    WHERE merchant_id = 3 AND id > (SELECT max(id) - 2000 FROM payments) ORDER BY id FOR NO KEY UPDATE;
COMMIT;
BEGIN;
SELECT id, balance_minor FROM accounts WHERE merchant_id = 4 FOR NO KEY UPDATE;
SELECT id, amount_minor, status FROM payments
    WHERE merchant_id = 4 AND id > (SELECT max(id) - 2000 FROM payments) ORDER BY id FOR NO KEY UPDATE;
COMMIT;
BEGIN;
SELECT id, balance_minor FROM accounts WHERE merchant_id = 5 FOR NO KEY UPDATE;
SELECT id, amount_minor, status FROM payments
    WHERE merchant_id = 5 AND id > (SELECT max(id) - 2000 FROM payments) ORDER BY id FOR NO KEY UPDATE;
COMMIT;
BEGIN;
SELECT id, balance_minor FROM accounts WHERE merchant_id = 6 FOR NO KEY UPDATE;
SELECT id, amount_minor, status FROM payments
    WHERE merchant_id = 6 AND id > (SELECT max(id) - 2000 FROM payments) ORDER BY id FOR NO KEY UPDATE;
COMMIT;
BEGIN;
SELECT id, balance_minor FROM accounts WHERE merchant_id = 7 FOR NO KEY UPDATE;
SELECT id, amount_minor, status FROM payments
    WHERE merchant_id = 7 AND id > (SELECT max(id) - 2000 FROM payments) ORDER BY id FOR NO KEY UPDATE;
COMMIT;
BEGIN;
SELECT id, balance_minor FROM accounts WHERE merchant_id = 8 FOR NO KEY UPDATE;
SELECT id, amount_minor, status FROM payments
    WHERE merchant_id = 8 AND id > (SELECT max(id) - 2000 FROM payments) ORDER BY id FOR NO KEY UPDATE;
COMMIT;
