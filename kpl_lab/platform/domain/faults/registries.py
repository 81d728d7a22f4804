"""Images that cannot be had or started, and Dockerfiles, as Docker and registries tell it."""

from __future__ import annotations

from kpl_lab.platform.domain.faults.entry import (
    ADMIN,
    BUILD,
    MINUTES,
    PASSES,
    Fault,
    words,
)

# What Docker puts before whatever a registry has answered.
_ASKED = r'(?:Get|Head|Post|Put) "?https?://[^\s"]+/v2/[^\s"]*"?: '

FAULTS: tuple[Fault, ...] = (
    Fault(
        code="wrong_architecture",
        codes=("image_platform",),
        patterns=words(
            r"no matching manifest for (?P<machine>[\w./-]+)",
            r"does not match the (?:specified|detected) (?:host )?platform",
        ),
        cause="The image was made for another kind of processor than this machine has.",
        action="Use one that was built for this machine, or build it for this one.",
        usual_duration=BUILD,
    ),
    Fault(
        code="registry_rate_limited",
        patterns=words(r"toomanyrequests:|reached your (?:\w+ )?pull rate limit"),
        cause="The registry gives out no more images for now: too many were asked for.",
        action="Try again later, or register the image with a user name and password.",
        usual_duration=PASSES,
    ),
    Fault(
        code="registry_certificate",
        patterns=words(
            rf"(?:{_ASKED})?(?:tls: failed to verify certificate: )?x509: (?P<what>[^\n]+)"
        ),
        who="admin",
        cause="The registry's certificate is not trusted here: {what}.",
        action="Give Docker the registry's CA certificate (/etc/docker/certs.d).",
        usual_duration=ADMIN,
    ),
    Fault(
        code="registry_http",
        patterns=words(r"server gave HTTP response to HTTPS client"),
        who="admin",
        cause="The registry speaks plain HTTP, which Docker refuses.",
        action="Serve it with TLS, or name it in Docker's `insecure-registries`.",
        usual_duration=ADMIN,
    ),
    Fault(
        code="registry_denied",
        codes=("image_denied",),
        patterns=words(
            r"no basic auth credentials",
            r"pull access denied for (?P<image>[\w./:-]+)",
            r"denied: requested access to the resource is denied",
            r"unauthorized: (?:authentication required|incorrect username or password)",
            r"failed with status: 401",
        ),
        cause="The registry does not let us have the image: it is spelt wrongly, does not exist, or "
        "wants a user name and password.",
        action="Correct its name, or register it with its password (`kpl image set NAME --username "
        "… --password-stdin`).",
    ),
    Fault(
        code="image_missing",
        codes=("image_not_found",),
        patterns=words(
            r"manifest for (?P<image>\S+) not found",
            r"manifest unknown|name unknown: ",
        ),
        cause="The registry has no such image.",
        action="Correct its name, tag or digest.",
    ),
    Fault(
        code="registry_unreachable",
        patterns=words(
            rf"{_ASKED}(?:dial tcp|net/http|context deadline|EOF|read tcp|proxyconnect)[^\n]*"
        ),
        who="admin",
        cause="The registry of the image does not answer.",
        action="Check the image's address; the machine may not reach that registry.",
        usual_duration=PASSES,
    ),
    Fault(
        code="registry_broken",
        patterns=words(
            r"Docker refused: (?P<what>invalid character '.' looking for [^\n]+)",
            r"(?P<what>received unexpected HTTP status: [^\n]+)",
            r"(?P<what>error parsing HTTP \d+ response body: [^\n]+)",
        ),
        who="admin",
        cause="What the registry of the image answers makes no sense: {what}",
        action="Check the image's address, or ask whoever keeps that registry.",
        usual_duration=PASSES,
    ),
    Fault(
        code="image_reference",
        codes=("image_name_invalid",),
        patterns=words(r"invalid reference format(?:: (?P<what>[^\n]+))?"),
        cause="What was given is no name of an image.",
        action="Write it as HOST/NAME:TAG, in small letters.",
    ),
    Fault(
        code="docker_away",
        patterns=words(r"Cannot connect to the Docker daemon|The Docker daemon does not answer"),
        who="admin",
        cause="The Docker daemon does not answer.",
        action="Start it (`systemctl start docker`), then try again.",
        usual_duration=ADMIN,
    ),
    Fault(
        code="gpu_runtime_missing",
        patterns=words(r"could not select device driver \"[^\"]*\" with capabilities: \[\[gpu\]\]"),
        who="admin",
        cause="Docker on this machine cannot give GPUs to containers.",
        action="Install the NVIDIA container toolkit, or ask for no GPU.",
        usual_duration=ADMIN,
    ),
    Fault(
        code="image_user",
        patterns=words(r"unable to find user (?P<user>[^:\n]+): no matching entries in passwd"),
        cause="The image has no user {user!r}.",
        action="Correct `USER` in its Dockerfile.",
        usual_duration=BUILD,
    ),
    Fault(
        code="no_jupyter",
        patterns=words(
            r"jupyterhub-singleuser(?:\"|: \d+)?:? (?:command )?(?:not found|executable file)",
            r"exec jupyterhub-singleuser failed|^jupyterhub-singleuser: No such file or directory",
            r"^\S*python[\d.]*: No module named jupyterhub\b",
        ),
        cause="The image has no JupyterLab, so that no notebook server starts from it.",
        action="Choose another image, or add `pip3 install jupyterlab kpl-lab` to it.",
        usual_duration=BUILD,
    ),
    Fault(
        code="entry_missing",
        codes=("command_missing",),
        patterns=words(
            r'exec: "(?P<command>[^"\n]+)": (?:executable file not found|stat [^:\n]+: no such file)',
            r"exec (?P<command>\S+) failed: No such file or directory",
            r"^(?P<command>[^\s:]+): No such file or directory \([^)\n]+\)$",
        ),
        cause="The image has no program {command!r}.",
        action="Correct the command, or install the program in the image.",
        usual_duration=MINUTES,
    ),
    Fault(
        code="entry_not_executable",
        codes=("command_denied",),
        patterns=words(
            r'exec: "(?P<command>[^"\n]+)": permission denied',
            r"exec (?P<command>\S+) failed: Permission denied",
            r"^(?P<command>[^\s:]+): Permission denied \([^)\n]+\)$",
        ),
        cause="The image's {command!r} is not executable.",
        action="Give it the right to run (`RUN chmod +x`), or start it with its interpreter.",
        usual_duration=BUILD,
    ),
    Fault(
        code="dockerfile_syntax",
        patterns=words(
            r"[Dd]ockerfile parse error(?: on)? line (?P<line>\d+): (?P<what>[^\n]+)",
            r"(?P<what>the Dockerfile (?:\([^)\n]*\) )?cannot be empty"
            r"|no build stage in current context)",
        ),
        cause="The Dockerfile cannot be read: {what}.",
        action="Mend that line of the Dockerfile.",
    ),
    Fault(
        code="dockerfile_copy",
        patterns=words(
            r"(?:COPY|ADD) failed: (?:file not found in build context or excluded by "
            r"\.dockerignore: stat |forbidden path outside the build context: )(?P<path>[^\s:]+)",
            r'failed to compute cache key: "(?P<path>[^"\n]+)" not found',
            r'failed to calculate checksum of ref [^"\n]+"(?P<path>[^"\n]+)": not found',
        ),
        cause="The Dockerfile copies {path}, which is not in the folder that was sent.",
        action="Put it into the folder, correct the path, or look into `.dockerignore`.",
    ),
    Fault(
        code="dockerfile_buildkit",
        patterns=words(r"the --mount option requires BuildKit"),
        cause="The Dockerfile uses `RUN --mount`, which the builder of this machine does not know.",
        action="Write the line without `--mount`.",
    ),
    Fault(
        code="secret_missing",
        patterns=words(r"\bsecret (?P<name>[\w.-]+) not found"),
        cause="The Dockerfile asks for the secret {name!r}, which was not given.",
        action="Give it with `--secret id=NAME,src=FILE`, or drop it from the Dockerfile.",
    ),
)

# Looked for last: the step's own words say more.
GENERAL: tuple[Fault, ...] = (
    Fault(
        code="dockerfile_run",
        patterns=words(
            r"(?:^|: )The command '(?P<run>.*)' returned a non-zero code: (?P<number>\d+)",
            r"executor failed running \[(?P<run>[^\n]*)\]: exit code: (?P<number>\d+)",
            r'(?:^|: )process "(?P<run>[^\n]*)" did not complete successfully: exit code: '
            r"(?P<number>\d+)",
        ),
        cause="A step of the Dockerfile ended with exit code {number}: {run}",
        action="Mend that line; the build log says what it printed.",
        usual_duration=BUILD,
    ),
)
