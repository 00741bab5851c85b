"""Who the registry is to its clients: its own CA and certificate, or the operator's."""
