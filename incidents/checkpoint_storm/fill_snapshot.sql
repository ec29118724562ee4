TRUNCATE payments_snapshot;
INSERT INTO payments_snapshot SELECT * FROM payments ORDER BY id LIMIT 100000;
