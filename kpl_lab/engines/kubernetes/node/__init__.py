"""The node agent: shows versions of datasets in pods of its node, from one copy a node."""
