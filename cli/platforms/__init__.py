"""What commands need from where a stack runs, for each target."""
