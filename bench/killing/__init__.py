"""What bench/kills.py is made of: processes that are killed at a moment, and the three things that are tried so."""
