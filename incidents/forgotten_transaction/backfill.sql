-- A job that goes through the customers by the clock, a few hundred at a time, and takes spaces off their names.
UPDATE customers SET name = btrim(name)
    WHERE id > 600 * (extract(epoch FROM statement_timestamp())::bigint / 2 % 80)
      AND id <= 600 * (extract(epoch FROM statement_timestamp())::bigint / 2 % 80 + 1)
      AND pg_relation_size('customers') < 32 * 1024 * 1024;
