-- Fills the tables, then builds keys and indexes. Each step is one unit of work; steps whose predecessors are done run side by side.
-- Nothing is random: every value is drawn from a hash of the row's number and the seed, so the same seed gives the same rows.

-- step: parameters
CREATE SCHEMA seed;
CREATE TABLE seed.parameters (
    payments        bigint NOT NULL,
    seed            bigint NOT NULL,
    customers       integer NOT NULL,
    merchants       integer NOT NULL,
    -- Days since 1970-01-01, UTC. The history is drawn between first_x and first_x + 90 on an even time scale, which becomes
    -- wall-clock time by stretching the nights (see drawn).
    first_x         double precision NOT NULL,
    first_day       integer NOT NULL,
    last_day        integer NOT NULL,
    history_end     timestamptz NOT NULL
);
-- `OFFSET 0` keeps the planner from evaluating what is below it once for each use. Literals are written as float8 because a
-- bare 0.5 is numeric, ten times slower. Of h2 the sum of four uniform parts stands in for a normal variable.
CREATE VIEW seed.hashed AS
    SELECT p.*, n.id, hashint8extended(n.id, p.seed) AS h1, hashint8extended(n.id, p.seed + 1) AS h2,
           hashint8extended(n.id, p.seed + 2) AS h3
    FROM seed.parameters p, LATERAL (SELECT generate_series(1, p.payments) AS id) n OFFSET 0;
CREATE VIEW seed.drawn AS
    SELECT id, h1, h2, customers, merchants, first_day, last_day, history_end,
           floor(customers * power(((h1 & 4294967295) / 4294967296::float8), 1.5::float8))::bigint AS customer_rank,
           1 + floor(merchants * power((((h1 >> 32) & 4294967295) / 4294967296::float8), 2::float8))::integer AS merchant_id,
           greatest(50, round(100 * exp(3.4::float8 + 1.5588::float8 * (
               ((h2 & 65535) + ((h2 >> 16) & 65535) + ((h2 >> 32) & 65535) + ((h2 >> 48) & 65535)) / 65535::float8 - 2
           ))))::bigint AS amount_minor,
           h3 & 1048575 AS fate,
           first_x + 90 * (id - ((h3 >> 20) & 1048575) / 1048576::float8) / payments AS x
    FROM seed.hashed;
-- Three in the afternoon (0.625 of a day) is busiest: 2.5 times the mean; three at night is the quietest.
CREATE VIEW seed.timed AS
    SELECT *, x - 0.6::float8 / (2 * pi()) * sin(2 * pi() * (x - 0.625::float8)) AS day FROM seed.drawn OFFSET 0;
-- The popular customers are spread over the ids by a prime larger than any number of customers.
-- 1.2 % are declined; 0.8 % were refunded on the day of the payment, before that day was settled.
CREATE VIEW seed.payments AS
    SELECT id, encode(int8send(h1) || int8send(h2), 'hex')::uuid AS reference, amount_minor, to_timestamp(day * 86400) AS created_at,
           CASE WHEN fate >= 20972 AND day < last_day
                THEN (floor(day)::integer - first_day)::bigint * merchants + merchant_id END AS settlement_run_id,
           1 + ((customer_rank * 1000003 + 17) % customers)::integer AS customer_id, merchant_id,
           CASE WHEN fate < 12583 THEN 'declined' WHEN fate < 20972 AND day < last_day THEN 'refunded' ELSE 'completed' END AS status
    FROM seed.timed;
CREATE FUNCTION seed.refunded_at(paid_at timestamptz) RETURNS timestamptz LANGUAGE sql STABLE
    RETURN paid_at + (date_trunc('day', paid_at, 'UTC') + interval '1 day' - paid_at) / 2;

-- step: merchants, after: parameters
INSERT INTO acquirers (id, name, response_ms)
    SELECT id, (ARRAY['Northbank', 'Meridian Pay', 'Cardinal', 'Blue Harbour'])[id], 4 + 2 * id FROM generate_series(1, 4) id;
INSERT INTO merchants (id, name, category, acquirer_id, fee_bps, weight)
    SELECT id,
           (ARRAY['Alder', 'Birch', 'Cedar', 'Dogwood', 'Elm', 'Fir', 'Ginkgo', 'Hazel', 'Ivy', 'Juniper'])[1 + id % 10] || ' '
               || (ARRAY['Books', 'Coffee', 'Tools', 'Travel', 'Market'])[1 + id / 10 % 5] || ' ' || id,
           (ARRAY['books', 'food', 'hardware', 'travel', 'grocery'])[1 + id / 10 % 5], 1 + id % 4, 90 + 10 * (id % 12),
           round(10000 * (sqrt(id / p.merchants::float8) - sqrt((id - 1) / p.merchants::float8)))
    FROM seed.parameters p, generate_series(1, p.merchants) id;

-- step: customers, after: parameters
INSERT INTO customers (id, name, country, created_at)
    SELECT id,
           (ARRAY['Ada', 'Ben', 'Chloe', 'David', 'Elif', 'Farid', 'Grete', 'Hugo', 'Ines', 'Jonas', 'Kofi', 'Lena', 'Marek',
                  'Nadia', 'Olga', 'Pavel'])[1 + (h & 15)] || ' '
               || (ARRAY['Adler', 'Bauer', 'Costa', 'Dubois', 'Eriksen', 'Fontana', 'Garcia', 'Horvat', 'Ito', 'Jansen', 'Kaya',
                         'Larsen', 'Moreau', 'Novak', 'Okafor', 'Petrov'])[1 + ((h >> 4) & 15)],
           (ARRAY['DE', 'FR', 'ES', 'IT', 'NL', 'AT', 'PL', 'SE'])[1 + ((h >> 8) & 7)],
           history_end - interval '91 days' - ((h >> 16) & 1023) * interval '1 day'
    FROM (SELECT id, p.history_end, hashint8extended(id, p.seed + 3) AS h
          FROM seed.parameters p, LATERAL (SELECT generate_series(1, p.customers) AS id) n OFFSET 0) c;

-- step: payments, after: parameters
INSERT INTO payments (id, reference, amount_minor, created_at, settlement_run_id, customer_id, merchant_id, currency, status)
    SELECT id, reference, amount_minor, created_at, settlement_run_id, customer_id, merchant_id, 'EUR', status FROM seed.payments;
SELECT setval(pg_get_serial_sequence('payments', 'id'), (SELECT payments FROM seed.parameters));

-- step: ledger entries, after: payments
INSERT INTO ledger_entries (payment_id, amount_minor, created_at, account_id, line)
    SELECT p.id, l.sign * p.amount_minor, CASE WHEN l.line > 2 THEN seed.refunded_at(p.created_at) ELSE p.created_at END,
           CASE WHEN l.line IN (1, 4) THEN p.customer_id ELSE s.customers + p.merchant_id END, l.line
    FROM payments p, seed.parameters s, (VALUES (1::smallint, -1), (2, 1), (3, -1), (4, 1)) l (line, sign)
    WHERE p.status = 'completed' AND l.line <= 2 OR p.status = 'refunded';

-- step: refunds, after: payments
INSERT INTO refunds (payment_id, reference, amount_minor, reason, created_at)
    SELECT id, reference, amount_minor, (ARRAY['returned', 'damaged', 'duplicate', 'fraud'])[1 + id % 4], seed.refunded_at(created_at)
    FROM payments WHERE status = 'refunded';
ALTER TABLE refunds ADD PRIMARY KEY (payment_id);

-- step: accounts, after: payments, customers, merchants
INSERT INTO accounts (id, customer_id, balance_minor)
    SELECT c.id, c.id, coalesce(p.balance, 0) FROM customers c LEFT JOIN (
        SELECT customer_id, -sum(amount_minor) AS balance FROM payments WHERE status = 'completed' GROUP BY customer_id
    ) p ON p.customer_id = c.id ORDER BY c.id;
INSERT INTO accounts (id, merchant_id, balance_minor)
    SELECT s.customers + m.id, m.id, coalesce(p.balance, 0) FROM seed.parameters s, merchants m LEFT JOIN (
        SELECT merchant_id, sum(amount_minor) AS balance FROM payments
        WHERE status = 'completed' AND settlement_run_id IS NOT NULL GROUP BY merchant_id
    ) p ON p.merchant_id = m.id ORDER BY m.id;
ALTER TABLE accounts ADD PRIMARY KEY (id), ADD UNIQUE (customer_id), ADD UNIQUE (merchant_id),
    ADD FOREIGN KEY (customer_id) REFERENCES customers, ADD FOREIGN KEY (merchant_id) REFERENCES merchants;
ALTER TABLE archived_entries ADD FOREIGN KEY (account_id) REFERENCES accounts;

-- step: settlement runs, after: payments, merchants
INSERT INTO settlement_runs (id, merchant_id, business_date, payments, gross_minor, fees_minor, created_at, updated_at)
    SELECT p.settlement_run_id, p.merchant_id, date '1970-01-01' + s.first_day + ((p.settlement_run_id - 1) / s.merchants)::integer,
           p.payments, p.gross_minor, p.gross_minor * m.fee_bps / 10000, p.ended, p.ended
    FROM seed.parameters s, (
        SELECT settlement_run_id, merchant_id, count(*) AS payments, sum(amount_minor)::bigint AS gross_minor,
               date_trunc('day', max(created_at), 'UTC') + interval '1 day 30 minutes' AS ended
        FROM payments WHERE settlement_run_id IS NOT NULL GROUP BY settlement_run_id, merchant_id
    ) p JOIN merchants m ON m.id = p.merchant_id ORDER BY p.settlement_run_id;
SELECT setval(pg_get_serial_sequence('settlement_runs', 'id'), (SELECT max(id) FROM settlement_runs));
ALTER TABLE settlement_runs ADD PRIMARY KEY (id), ADD UNIQUE (business_date, merchant_id),
    ADD FOREIGN KEY (merchant_id) REFERENCES merchants;

-- step: merchant totals, after: payments, merchants
INSERT INTO merchant_daily_totals (merchant_id, business_date, shard, payments, amount_minor, refunds, refunded_minor)
    SELECT merchant_id, (created_at AT TIME ZONE 'UTC')::date, 0, count(*), sum(amount_minor),
           count(*) FILTER (WHERE status = 'refunded'), coalesce(sum(amount_minor) FILTER (WHERE status = 'refunded'), 0)
    FROM payments WHERE status <> 'declined' GROUP BY 1, 2 ORDER BY 2, 1;
ALTER TABLE merchant_daily_totals ADD PRIMARY KEY (merchant_id, business_date, shard),
    ADD FOREIGN KEY (merchant_id) REFERENCES merchants;

-- step: index payments by id, after: payments
CREATE UNIQUE INDEX payments_pkey ON payments (id);

-- step: index payments by reference, after: payments
-- New entries of this index and the next come anywhere, and are pruned again: room in each page keeps them from growing by splits.
CREATE UNIQUE INDEX payments_reference_key ON payments (reference) WITH (fillfactor = 80);

-- step: index payments by customer, after: payments
CREATE INDEX payments_customer_id_created_at_idx ON payments (customer_id, created_at) WITH (fillfactor = 80);

-- step: index payments to settle, after: payments
CREATE INDEX payments_to_settle_idx ON payments (merchant_id, created_at)
    WHERE settlement_run_id IS NULL AND status = 'completed';

-- step: index ledger entries, after: ledger entries
CREATE UNIQUE INDEX ledger_entries_pkey ON ledger_entries (payment_id, line);

-- step: keys of payments, after: index payments by id, index payments by reference, index payments by customer, index payments to settle, accounts
ALTER TABLE payments ADD PRIMARY KEY USING INDEX payments_pkey, ADD UNIQUE USING INDEX payments_reference_key,
    ADD FOREIGN KEY (customer_id) REFERENCES customers, ADD FOREIGN KEY (merchant_id) REFERENCES merchants;

-- step: keys of ledger entries, after: index ledger entries, keys of payments
ALTER TABLE ledger_entries ADD PRIMARY KEY USING INDEX ledger_entries_pkey,
    ADD FOREIGN KEY (payment_id) REFERENCES payments, ADD FOREIGN KEY (account_id) REFERENCES accounts;
ALTER TABLE refunds ADD FOREIGN KEY (payment_id) REFERENCES payments;

-- step: vacuum payments, after: keys of payments
VACUUM (ANALYZE) payments;

-- step: vacuum ledger entries, after: keys of ledger entries
VACUUM (ANALYZE) ledger_entries;

-- step: vacuum the rest, after: keys of ledger entries
VACUUM (ANALYZE) acquirers, merchants, customers, accounts, refunds, settlement_runs, merchant_daily_totals;
DROP SCHEMA seed CASCADE;
