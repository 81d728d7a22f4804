"""What processes of the platform count about themselves, for Prometheus."""
