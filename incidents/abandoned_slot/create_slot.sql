SELECT pg_create_physical_replication_slot('standby_eu_1', true)
    WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = 'standby_eu_1');
