DELETE FROM merchant_daily_totals WHERE merchant_id = 37 AND business_date = (now() AT TIME ZONE 'UTC')::date;
