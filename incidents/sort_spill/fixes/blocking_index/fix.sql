CREATE INDEX IF NOT EXISTS payments_amount_minor_id_idx ON payments (amount_minor DESC, id);
