"""Open-model traffic for the payment service, and what its clients see of it."""
