"""Images on their way between stores, registries and archives."""
