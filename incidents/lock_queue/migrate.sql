-- Cents overflow in the reports of partners that read 32 bits. NOT VALID: the rows that exist are not read, so it is quick.
SET lock_timeout = '5s';
ALTER TABLE payments DROP CONSTRAINT IF EXISTS payments_amount_minor_limit,
    ADD CONSTRAINT payments_amount_minor_limit CHECK (amount_minor < 2147483648) NOT VALID;
