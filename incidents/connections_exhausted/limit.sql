-- A review of roles: payment_app was never seen with more than a dozen sessions.
ALTER ROLE payment_app CONNECTION LIMIT 20;
