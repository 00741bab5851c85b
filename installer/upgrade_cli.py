"""`k0rdentd upgrade`."""
