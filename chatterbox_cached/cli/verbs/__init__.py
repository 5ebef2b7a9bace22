"""One module per verb; each has a function ``command``."""
