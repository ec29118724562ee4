-- A merchant's flash sale: nearly all payments of the next hours are its own. Its acquirer confirms each while the
-- customer waits, as agreed for sales.
UPDATE merchants SET weight = 400000 WHERE id = 37 AND weight <> 400000;
UPDATE acquirers a SET capture_ms = 120 FROM merchants m WHERE m.id = 37 AND a.id = m.acquirer_id AND a.capture_ms <> 120;
