"""Settings of the Docker engine: traits, set in a file.

``$KPL_HOME/docker_engine.py`` is read when it exists, for example
``c.DockerOptions.socket = "/run/user/1000/docker.sock"``.
"""

from __future__ import annotations

from traitlets import Bool, Dict, Int, List, Unicode

from kpl_lab import __version__
from kpl_lab.engines.running import options
from kpl_lab.settings import Home, own_image

FILE_NAME = "docker_engine.py"


class DockerOptions(options.RunningOptions):
    """What an administrator may change about the Docker engine."""

    socket = Unicode("/var/run/docker.sock", help="Unix socket of the Docker daemon.").tag(
        config=True
    )
    base_image = Unicode(
        own_image(__version__),
        help="The platform's own image: what relays run in (Python 3.11 or newer is all that they "
        "need) and what environments without a base stand on.",
    ).tag(config=True)
    pull = Bool(True, help="Pull images that the daemon does not have.").tag(config=True)
    network = Unicode(
        "",
        help="Network of the containers; empty: a bridge of the installation's own, on which they "
        "do not reach one another.",
    ).tag(config=True)
    relay_port = Int(
        17171, help="Port of the relay beside a task, on the loopback of the task's own network."
    ).tag(config=True)
    measure_seconds = Int(
        15, help="Seconds between looks at the memory and CPU time of what runs."
    ).tag(config=True)
    build_network = Unicode(
        "", help="Network of builds: a name, `host` or `none`; empty: Docker's default."
    ).tag(config=True)
    blocked_addresses = List(
        Unicode(),
        default_value=[
            "169.254.169.254/32",  # most clouds
            "169.254.170.2/32",  # credentials of AWS's container services
            "100.100.100.200/32",  # Alibaba Cloud
            "168.63.129.16/32",  # Azure
        ],
        help="Addresses that containers and the steps of builds do not reach (but for names, port "
        "53): where clouds answer with the machine's own credentials. It takes root and iptables.",
    ).tag(config=True)
    build_arguments = Dict(
        key_trait=Unicode(),
        value_trait=Unicode(),
        help="Build arguments that every RUN line sees as variables, such as HTTP_PROXY or "
        "PIP_INDEX_URL. They stay in the image's history: no passwords.",
    ).tag(config=True)
    build_keep_free_mb = Int(
        2048,
        min=0,
        help="A build is ended when less than so many MiB are left where Docker keeps images; 0: "
        "never.",
    ).tag(config=True)
    ca_bundle = Unicode(
        "", help="File of certificates that builds trust instead of those of their base image."
    ).tag(config=True)


def load_options(home: Home) -> DockerOptions:
    """Return the options of an installation: the defaults and its file.

    Raises
    ------
    Invalid
        The file cannot be used.
    """
    return options.load_options(DockerOptions, home.root / FILE_NAME)
