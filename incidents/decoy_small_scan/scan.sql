SELECT category, count(*), avg(fee_bps) FROM merchants WHERE fee_bps > 100 GROUP BY category;
