"""What a host is to become, one effect a step; see `installer.plan`."""
