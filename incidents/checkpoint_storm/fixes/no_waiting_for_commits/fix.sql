ALTER ROLE payment_app SET synchronous_commit = off;
