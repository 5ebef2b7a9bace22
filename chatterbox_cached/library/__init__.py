"""Voices as a user deals with them: listed, found, prepared ahead, carried to another machine."""
