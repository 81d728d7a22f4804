"""File formats that users write: ``environment.yml``, ``parameter.yml``, the image catalog."""
