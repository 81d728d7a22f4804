"""The objects of a workload as plain dictionaries: pure functions of a plan, for server-side apply."""

from __future__ import annotations

from kpl_lab.engines.kubernetes.objects import parts, workloads
from kpl_lab.engines.kubernetes.objects.builder import build_objects
from kpl_lab.engines.kubernetes.objects.meta import Manifest
from kpl_lab.engines.kubernetes.plan import Plan
from kpl_lab.engines.spec import Kind

__all__ = ["Manifest", "objects"]


def objects(plan: Plan) -> list[Manifest]:
    """Return the objects of a workload in the order in which they have to be applied.

    The claim for a home, the Secret, Services, policies, and last the workload: it is to own all but
    the claim, which are applied again with ``parts.owner_reference`` of it.

    Raises
    ------
    EngineError
        The workload is larger than objects may be, or a service says no port.
    """
    kind = plan.workload.kind
    if plan.build is not None:
        return build_objects(plan, plan.build)
    claim = parts.home_claim(plan)
    found = [parts.secret(plan)] if claim is None else [claim, parts.secret(plan)]
    if plan.workload.login is not None:
        found.append(parts.pull_secret(plan, plan.workload.login))
    if kind is Kind.SERVICE:
        return [*found, parts.service(plan), workloads.deployment(plan)]
    if kind is Kind.SERVER:
        return [*found, workloads.server_pod(plan)]
    if plan.is_numbered:
        found += [parts.headless(plan), parts.meeting(plan)]
    return [*found, workloads.job(plan)]
