CREATE INDEX payments_customer_id_created_at_idx ON payments (customer_id, created_at) WITH (fillfactor = 80);
