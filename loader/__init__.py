"""A bundle into a store, in one pass."""
