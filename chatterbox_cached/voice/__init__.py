"""What a voice is, and its bytes: in memory, as an entry, in a bundle. Knows neither models nor folders."""
