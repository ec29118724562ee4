SELECT id, merchant_id, customer_id, amount_minor, created_at FROM payments
    WHERE status = 'completed' AND created_at > now() - interval '30 days'
    ORDER BY amount_minor DESC, id LIMIT 1000 OFFSET 50000;
