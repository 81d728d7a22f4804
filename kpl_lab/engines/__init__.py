"""Engines: where workloads run. ``base`` is the interface, ``spec`` its vocabulary."""
