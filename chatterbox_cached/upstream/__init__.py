"""Everything that knows what Chatterbox looks like: its classes, methods, objects and files."""
