"""``jupyterhub -f jupyterhub_config.py``: the whole of KPL Lab as one hub and what it starts.

``make up`` is the better way for every day: it keeps front door, hub and platform apart, so that
each can be restarted while the others go on. What is set below this line wins over our defaults.
"""

from kpl_lab.hub.config import configure
from kpl_lab.hub.standalone import prepare
from kpl_lab.settings import load

c = get_config()

settings = load()
prepare(settings)
configure(c, settings, supervised=False)

# For example, another way to sign in:
# c.JupyterHub.authenticator_class = "pam"
# c.Authenticator.allow_all = True
