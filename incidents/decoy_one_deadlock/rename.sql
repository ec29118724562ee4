BEGIN;
UPDATE merchants SET name = name WHERE id = 42;
UPDATE merchants SET name = name WHERE id = 41;
COMMIT;
