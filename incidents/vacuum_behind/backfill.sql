-- Writes every customer's balance anew, so that those who follow the changes get it again: eight times, once for each of them.
-- It waits for no payment that has a row, but payments wait for it.
UPDATE accounts a SET balance_minor = a.balance_minor
    FROM (SELECT id FROM accounts WHERE customer_id <= 50000 FOR NO KEY UPDATE SKIP LOCKED) free WHERE a.id = free.id;
UPDATE accounts a SET balance_minor = a.balance_minor
    FROM (SELECT id FROM accounts WHERE customer_id <= 50000 FOR NO KEY UPDATE SKIP LOCKED) free WHERE a.id = free.id;
UPDATE accounts a SET balance_minor = a.balance_minor
    FROM (SELECT id FROM accounts WHERE customer_id <= 50000 FOR NO KEY UPDATE SKIP LOCKED) free WHERE a.id = free.id;
UPDATE accounts a SET balance_minor = a.balance_minor
    FROM (SELECT id FROM accounts WHERE customer_id <= 50000 FOR NO KEY UPDATE SKIP LOCKED) free WHERE a.id = free.id;
UPDATE accounts a SET balance_minor = a.balance_minor
    FROM (SELECT id FROM accounts WHERE customer_id <= 50000 FOR NO KEY UPDATE SKIP LOCKED) free WHERE a.id = free.id;
UPDATE accounts a SET balance_minor = a.balance_minor
    FROM (SELECT id FROM accounts WHERE customer_id <= 50000 FOR NO KEY UPDATE SKIP LOCKED) free WHERE a.id = free.id;
UPDATE accounts a SET balance_minor = a.balance_minor
    FROM (SELECT id FROM accounts WHERE customer_id <= 50000 FOR NO KEY UPDATE SKIP LOCKED) free WHERE a.id = free.id;
UPDATE accounts a SET balance_minor = a.balance_minor
    FROM (SELECT id FROM accounts WHERE customer_id <= 50000 FOR NO KEY UPDATE SKIP LOCKED) free WHERE a.id = free.id;
