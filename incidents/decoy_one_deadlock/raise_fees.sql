BEGIN;
UPDATE merchants SET fee_bps = fee_bps WHERE id = 41;
UPDATE merchants SET fee_bps = fee_bps WHERE id = 42;
COMMIT;
