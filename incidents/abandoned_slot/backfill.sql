DROP TABLE IF EXISTS payments_snapshot;
CREATE TABLE payments_snapshot AS SELECT * FROM payments ORDER BY id LIMIT 600000;
DROP TABLE payments_snapshot;
