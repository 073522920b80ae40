"""What bench/fuzz.py is made of: seeds, mutations, readers, and the guarded processes that try them."""
