-- A clean-up: new clients read histories by cursor, so the index for them is taken for unused.
-- Brief: it waits for the statements that use the table now, and nobody may wait long behind it.
SET lock_timeout = '5s';
DROP INDEX IF EXISTS payments_customer_id_created_at_idx;
RESET lock_timeout;
