"""The measurements of `k0rdentd bench pull`, a file for what belongs together; each is a generator of figures."""
