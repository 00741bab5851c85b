"""k0s and k0rdent on a host, and the `k0rdentd` command itself."""
