"""What the service does: payments, refunds, settlement, reports."""
