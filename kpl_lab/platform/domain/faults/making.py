"""Images that could not be made, taken in or sent, as our Docker engine tells it."""

from __future__ import annotations

from kpl_lab.platform.domain.faults.entry import ADMIN, AT_ONCE, BUILD, PASSES, Fault, words

_NOT_SENT = r"The image was made, but could not be sent to (?P<image>\S+)\. The registry "

# Looked for before what registries say when they are asked for an image: they say the same here.
FAULTS: tuple[Fault, ...] = (
    Fault(
        code="push_denied",
        patterns=words(_NOT_SENT + "does not let us put it there"),
        cause="The image was made, but the registry does not let us put it at {image}.",
        action="Give a user name and password that may (`--username … --password-stdin`), or send it "
        "to another name.",
    ),
    Fault(
        code="push_unreachable",
        patterns=words(_NOT_SENT + "does not answer as one"),
        who="admin",
        cause="The image was made, but no registry answers at {image}.",
        action="Check that address, and that this machine reaches it; then build again, which is "
        "quick by now.",
        usual_duration=PASSES,
    ),
    Fault(
        code="push_taken",
        patterns=words(
            r"could not be sent to (?P<image>\S+)\. This machine has another image of that name"
        ),
        cause="The image was made, but this machine has another one of the name {image}, which "
        "others may use.",
        action="Send it under another tag.",
    ),
    Fault(
        code="push_failed",
        patterns=words(_NOT_SENT + r"said: (?P<what>[^\n]+)"),
        cause="The image was made, but could not be sent to {image}: {what}",
        action="Correct the name that it shall have there, or ask who keeps that registry.",
    ),
    Fault(
        code="context_broken",
        patterns=words(
            r"Error processing tar file\([^)\n]*\): (?P<what>(?![^\n]*no space left)[^\n]+)"
        ),
        cause="What was sent to build from cannot be unpacked: {what}.",
        action="Send the folder with `kpl image build`, and leave out the link or file that is named "
        "(`.dockerignore`).",
    ),
    Fault(
        code="image_archive",
        patterns=words(r"No image can be loaded from the file: (?P<what>[^\n]+?)\. Make it with"),
        cause="No image can be loaded from the file: {what}.",
        action="Make it with `docker save NAME:TAG -o FILE`, and load that file.",
    ),
    Fault(
        code="image_too_large",
        patterns=words(
            r"The image has (?P<size>[\d.]+ GiB); at most (?P<most>[\d.]+ GiB) are allowed here"
        ),
        cause="The image has {size}, and at most {most} are allowed here.",
        action="Leave out what it does not need, or ask an administrator for more (`image_limit_gb`).",
        usual_duration=BUILD,
    ),
    Fault(
        code="onbuild_refused",
        patterns=words(
            r"Nothing can be built on the image (?P<image>\S+): its step (?P<step>[^\n]+) "
            r"(?:takes files from another image|adds an address)\."
        ),
        cause="Nothing can be built on the image {image}: its step {step} waits in it to be done "
        "then (ONBUILD), and fetches what builds may not.",
        action="Build on another image, or have that step taken out of it.",
        usual_duration=BUILD,
    ),
    Fault(
        code="pulling_off",
        patterns=words(r"The image (?P<image>\S+) is not on this machine, and pulling is off"),
        who="admin",
        cause="The image {image} is not on this machine, and none is fetched here.",
        action="Choose one of `kpl image list`, or ask an administrator to load it or to switch "
        "pulling on (`DockerOptions.pull`).",
        usual_duration=ADMIN,
    ),
    Fault(
        code="image_other_name",
        patterns=words(r"The registry gave (?P<image>\S+) under another name"),
        cause="The registry gave {image} under another name than it was asked for.",
        action="Ask for it by the name that it has there.",
        usual_duration=AT_ONCE,
    ),
)
