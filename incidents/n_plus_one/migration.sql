-- The portfolio of an acquired competitor: its merchants, and what the old system settled for them in the last days.
INSERT INTO merchants (id, name, category, acquirer_id, fee_bps, weight)
    SELECT 100000 + n,
           (ARRAY['Maple', 'Oak', 'Pine', 'Rowan', 'Spruce'])[1 + n % 5] || ' '
               || (ARRAY['Bakery', 'Cycles', 'Optics', 'Pharmacy'])[1 + n / 5 % 4] || ' ' || n,
           (ARRAY['food', 'travel', 'hardware', 'books'])[1 + n % 4], 1 + n % 4, 100 + 10 * (n % 5), 0
    FROM generate_series(1, 500) n
    ON CONFLICT (id) DO NOTHING;
INSERT INTO settlement_runs (merchant_id, business_date, payments, gross_minor, fees_minor)
    SELECT m.id, (now() AT TIME ZONE 'UTC')::date - d, 20 + m.id % 30, 50000 + 10 * m.id, 500 + m.id / 10
    FROM merchants m, generate_series(0, 3) d
    WHERE m.id > 100000
    ON CONFLICT (business_date, merchant_id) DO NOTHING;
ANALYZE merchants, settlement_runs;
