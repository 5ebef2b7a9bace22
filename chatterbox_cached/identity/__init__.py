"""Which audio, which model, which circumstances: everything that decides a key."""
