"""The main job on the chart: mounts, tasks, one over two nodes, a service and its weights, builds, and what is deleted.

The steps are those of ``tests/walk``, which takes them on installations beside their engines.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.installation import Installation
from tests.kubernetes.harness import BUILDER_IMAGE, REGISTRY
from tests.kubernetes.release import builds, installed, signed_in
from tests.walk.test_image_making_on_clusters import ClusterImages
from tests.walk.test_main_job import MainJob
from tests.walk.test_revisions import Revisions

pytestmark = [pytest.mark.kubernetes, pytest.mark.slow, pytest.mark.timeout(1500)]


@pytest.fixture(scope="module")
def installation() -> Iterator[Installation]:
    """The chart, installed; nothing of it runs here."""
    more = builds() if REGISTRY and BUILDER_IMAGE else []
    with installed(*more, standard="baseline" if more else "restricted") as found:
        yield signed_in(found)


class TestMainJob(MainJob):
    """From a folder of pictures to a service, and its end."""


class TestRevisions(Revisions):
    """Two revisions of a service share its calls by weight."""


class TestImages(ClusterImages):
    """Images that users build."""
