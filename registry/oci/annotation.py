"""Annotations of our own."""

LEFT_OUT = "com.mirantis.k0rdentd.left-out"
"""Children of an index that were not there to be put into an archive, so that nobody takes their want for damage."""
