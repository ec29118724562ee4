-- Whoever holds a lock on payments and has done nothing for a while; the service's own transactions are left alone.
SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity a
    WHERE a.state = 'idle in transaction' AND a.state_change < now() - interval '5 seconds' AND a.usename <> 'payment_app'
      AND EXISTS (SELECT FROM pg_locks l WHERE l.pid = a.pid AND l.granted AND l.relation = 'payments'::regclass);
