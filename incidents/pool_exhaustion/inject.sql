-- New contracts with the acquirers, in force today: they capture while the customer waits, which pays better interest,
-- and business is spread evenly over the merchants.
UPDATE merchants SET weight = 200 WHERE weight <> 200;
UPDATE acquirers SET capture_ms = 1600 WHERE capture_ms <> 1600;
