"""A load generator of our own: processes over raw sockets that pull as containerd does, or by a clock."""
