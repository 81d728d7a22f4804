"""Ends that the engine itself has seen or brought about."""

from __future__ import annotations

from kpl_lab.engines.spec import Cause
from kpl_lab.platform.domain.faults.entry import ADMIN, AT_ONCE, MINUTES, PASSES, Fault

FAULTS: tuple[Fault, ...] = (
    Fault(
        code="out_of_memory",
        causes=(Cause.OUT_OF_MEMORY,),
        cause="It needed more memory than its limit: used {used_mb} of {limit_mb} MiB.",
        action="Start it again with more memory, or use smaller batches.",
        usual_duration=AT_ONCE,
    ),
    Fault(
        code="time_limit",
        causes=(Cause.TIME_LIMIT,),
        cause="It ran longer than its time limit of {limit_seconds} seconds and was ended.",
        action="Give it more time, or let it do less work.",
        usual_duration=AT_ONCE,
    ),
    Fault(
        code="disk_full",
        causes=(Cause.DISK_FULL,),
        who="admin",
        cause="The disk had no room left for it.",
        action="Delete datasets, models or tasks that are no longer needed, then start it again.",
        usual_duration=MINUTES,
    ),
    Fault(
        code="wrong_port",
        causes=(Cause.WRONG_PORT,),
        cause="The service listens on port {listening}, but is expected on port {port}.",
        action="Let it listen on the port in the variable PORT, or set `port` in environment.yml.",
        usual_duration=MINUTES,
    ),
    Fault(
        code="killed",
        causes=(Cause.KILLED,),
        cause="It was killed from outside the platform.",
        action="Start it again; if it happens repeatedly, ask an administrator who ends processes.",
        who="admin",
        usual_duration=AT_ONCE,
    ),
    Fault(
        code="lost",
        causes=(Cause.LOST,),
        cause="The machine was restarted, or the process vanished without a trace.",
        action="Start it again.",
        who="platform",
        usual_duration=AT_ONCE,
    ),
    Fault(
        code="gone",
        cause="Nothing of it was found any more where it ran: it was removed there, or the machine was "
        "restarted.",
        action="Start it again.",
        who="platform",
        usual_duration=AT_ONCE,
    ),
    Fault(
        code="unhealthy",
        causes=(Cause.SIGNAL,),
        needs="unhealthy_seconds",
        cause="It answered no health check for {unhealthy_seconds} seconds and was ended.",
        action="Let the path `health` of environment.yml answer 200 within a few seconds, also while "
        "the service is at work.",
    ),
    Fault(
        code="service_ended",
        causes=(Cause.EXIT,),
        needs="ended_well",
        cause="The command ended by itself and without an error; a service has to go on running.",
        action="Let it serve until it is stopped: a server in the foreground, as the last thing that "
        "the command does.",
    ),
    Fault(
        code="loopback_only",
        causes=(Cause.NEVER_LISTENED,),
        needs="loopback",
        cause="The service listens on 127.0.0.1 alone, where nobody outside of it reaches port "
        "{port}.",
        action="Let it listen on 0.0.0.0, or on the address in the variable HOST.",
    ),
    Fault(
        code="never_listened",
        causes=(Cause.NEVER_LISTENED,),
        cause="The service never listened on its port {port}.",
        action="Let it listen on the port in the variable PORT; the log may say why it did not.",
    ),
    Fault(
        code="never_fits",
        cause="It asks for {asked}, and the machine has only {there} in all by now",
        action="Submit it again with less, or ask an administrator for a larger machine.",
        usual_duration=ADMIN,
    ),
    Fault(
        code="pool_never_fits",
        cause="It asks for {asked}, and the pool {pool} has only {there} for its owner by now",
        action="Submit it again with less or to another pool, or ask an administrator for more.",
        usual_duration=ADMIN,
    ),
    Fault(
        code="pool_gone",
        cause="Its resource pool {pool} is no longer there",
        action="Submit it again to another pool.",
    ),
    Fault(
        code="start_failed",
        causes=(Cause.START_FAILED,),
        who="platform",
        cause="It could not be started: {error}.",
        action="Try again; if it stays, ask an administrator.",
        usual_duration=PASSES,
    ),
)
