SELECT true;
SELECT name, response_ms FROM acquirers WHERE response_ms > 0 ORDER BY name;
