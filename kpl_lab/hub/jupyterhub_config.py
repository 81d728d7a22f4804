"""The hub's configuration when ``kpl-lab up`` runs it; ``$KPL_HOME/jupyterhub_config.py`` adds to it."""

from kpl_lab.hub.config import configure
from kpl_lab.settings import load

c = get_config()  # type: ignore[name-defined]
settings = load()
configure(c, settings, supervised=True)

own = settings.home.root / "jupyterhub_config.py"
if own.exists():
    load_subconfig(str(own))  # type: ignore[name-defined]
