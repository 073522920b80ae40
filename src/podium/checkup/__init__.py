"""What a machine has, what is wrong or slow there, and whether several machines can compute together."""
