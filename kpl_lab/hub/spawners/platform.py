"""Placeholder until routes are known."""
from jupyterhub.spawner import SimpleLocalProcessSpawner
from traitlets import Unicode

class PlatformSpawner(SimpleLocalProcessSpawner):
    platform_url = Unicode(config=True)
    platform_token = Unicode(config=True)
    public_url = Unicode(config=True)
