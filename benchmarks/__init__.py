"""What a voice costs with this cache, without it, and with the other ways to keep one; ``python -m benchmarks``."""
