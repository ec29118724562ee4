-- A rule of the fraud team: whoever listens hears of each payment that is among the thousand largest of some ten days.
CREATE OR REPLACE FUNCTION announce_large_payment() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    large bigint;
BEGIN
    SELECT amount_minor INTO large FROM (
        SELECT amount_minor, row_number() OVER (ORDER BY amount_minor DESC, id) AS place
        FROM payments WHERE id > NEW.id - 120000
    ) ranked WHERE place = 1000 LIMIT 1;
    IF NEW.amount_minor > large THEN
        PERFORM pg_notify('large_payments', NEW.id::text);
    END IF;
    RETURN NULL;
END
$$;
-- Brief: it waits for the transactions that write payments now, and nobody may wait long behind it.
SET lock_timeout = '5s';
CREATE OR REPLACE TRIGGER payments_announce_large
    AFTER INSERT ON payments FOR EACH ROW EXECUTE FUNCTION announce_large_payment();
RESET lock_timeout;
