"""The incident runner: executes the definitions, proves what they claim, and knows what is active."""
