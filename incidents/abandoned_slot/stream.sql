START_REPLICATION SLOT standby_eu_1 PHYSICAL $restart_lsn
