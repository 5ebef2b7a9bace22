"""Test doubles and helpers. Test modules import from here and never from each other; see unit/test_support.py."""
