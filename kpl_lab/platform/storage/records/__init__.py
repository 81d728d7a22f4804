"""What repositories return: frozen dataclasses, one file per resource."""
