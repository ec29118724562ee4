-- Makes room when the role is full: ends what seems to do nothing.
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE usename = 'payment_app' AND application_name = 'payment-service' AND state = 'idle'
      AND (SELECT count(*) FROM pg_stat_activity WHERE usename = 'payment_app')
          >= (SELECT nullif(rolconnlimit, -1) FROM pg_roles WHERE rolname = 'payment_app');
