-- An error that went through would have the inner statement in its context, and so in the log.
DO $$
BEGIN
    EXECUTE format('ALTER ROLE payment_app PASSWORD %L', current_setting('credential.next'));
EXCEPTION WHEN query_canceled OR OTHERS THEN
    RAISE EXCEPTION 'the credential of payment_app was not changed (%)', SQLSTATE;
END $$;
