"""What the cache does on a GPU, with models of full size and random weights; ``python -m benchmarks.gpu``."""
