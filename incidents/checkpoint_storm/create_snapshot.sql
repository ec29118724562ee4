CREATE TABLE IF NOT EXISTS payments_snapshot (LIKE payments);
