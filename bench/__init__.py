"""Throughput against real peers, and the bundles it is measured with."""
