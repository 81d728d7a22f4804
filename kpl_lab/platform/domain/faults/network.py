"""Servers that cannot be reached, as the C library, curl, Python and its HTTP clients tell it."""

from __future__ import annotations

from kpl_lab.platform.domain.faults.entry import ADMIN, PASSES, Fault, raises, words

FAULTS: tuple[Fault, ...] = (
    Fault(
        code="model_hub_unreachable",
        patterns=words(
            r"We couldn't connect to '(?P<host>https?://[^'\n]+)' to load",
            raises("LocalEntryNotFoundError|OfflineModeIsEnabled"),
        ),
        cause="The program downloads a model from a hub that cannot be reached from here.",
        action="Upload the model to the platform (`kpl model create`) and give it as an input.",
    ),
    Fault(
        code="certificate",
        is_weak=True,
        patterns=words(
            r"CERTIFICATE_VERIFY_FAILED|SSL certificate problem|server certificate verification failed"
            r"|The certificate of [^\n]+ is not trusted"
        ),
        who="admin",
        cause="The certificate of a server is not trusted here.",
        action="Name your CA certificates in the variable SSL_CERT_FILE (pip: PIP_CERT, requests: "
        "REQUESTS_CA_BUNDLE).",
        usual_duration=ADMIN,
    ),
    Fault(
        code="proxy",
        is_weak=True,
        patterns=words(
            r"ProxyError|Cannot connect to proxy|Tunnel connection failed: \d+"
            r"|Proxy Authentication Required|Received HTTP code \d+ from proxy|Could not resolve proxy"
        ),
        who="admin",
        cause="The proxy in the variables HTTP_PROXY and HTTPS_PROXY does not let it through.",
        action="Correct these variables, or name the host in NO_PROXY.",
        usual_duration=ADMIN,
    ),
    Fault(
        code="http_refused",
        is_weak=True,
        patterns=words(
            r"HTTP Error (?P<status>[45]\d\d)\b",
            r"HTTPError: (?P<status>[45]\d\d) (?:Client|Server) Error",
            r"The requested URL returned error: (?P<status>[45]\d\d)",
            r"HTTPStatusError: (?:Client|Server) error '(?P<status>[45]\d\d)",
        ),
        cause="A server answered {status} to what the program asked for.",
        action="Correct the address (404) or the access token (401, 403), or try later (429, 5…).",
    ),
    Fault(
        code="name_resolution",
        is_weak=True,
        patterns=words(
            r"Temporary failure in name resolution|Name or service not known|Could not resolve host"
            r"|No address associated with hostname|Failed to resolve '"
        ),
        cause="The program looked for a host whose name is not known here.",
        action="Check the name; a machine without internet reaches no outside host.",
        who="admin",
        usual_duration=ADMIN,
    ),
    Fault(
        code="network_unreachable",
        is_weak=True,
        patterns=words(r"Network is unreachable|No route to host"),
        who="admin",
        cause="The program wants to reach a network to which there is no way from here.",
        action="Upload what it downloads as a dataset or model, or ask an administrator for a way.",
        usual_duration=ADMIN,
    ),
    Fault(
        code="connection_timeout",
        is_weak=True,
        patterns=words(
            r"Connection timed out|Read timed out|ConnectTimeout|ReadTimeout"
            r"|urlopen error timed out",
            raises("TimeoutError", "(?:timed out|The read operation timed out)"),
        ),
        cause="A server that the program needs did not answer in time.",
        action="Try again; a firewall that drops connections looks the same.",
        usual_duration=PASSES,
    ),
    Fault(
        code="connection_refused",
        is_weak=True,
        patterns=words(
            r"ConnectionRefusedError|Connection refused|Failed to connect to \S+ port \d+"
            r"|Couldn't connect to server"
        ),
        cause="The program could not connect to a server that it needs.",
        action="Check the address; workloads may not reach every network.",
    ),
    Fault(
        code="connection_lost",
        is_weak=True,
        patterns=words(r"Connection reset by peer|RemoteDisconnected|IncompleteRead\("),
        cause="A server ended the connection before it had answered.",
        action="Try again; if it stays, look into the log of that server.",
        usual_duration=PASSES,
    ),
    Fault(
        code="address_in_use",
        patterns=words(r"[Aa]ddress already in use|port \d+ is (?:already )?in use"),
        cause="The port that the program wants is taken.",
        action="Let it listen on the port in the variable PORT.",
    ),
    Fault(
        code="address_elsewhere",
        patterns=words(r"Cannot assign requested address"),
        cause="The program wants to listen on an address that this machine does not have.",
        action="Let it listen on 0.0.0.0, or on the address in the variable HOST.",
    ),
)
