"""Answers of API services in the forms that the online test knows how to draw."""

from __future__ import annotations

TYPE_CHECKING = False  # as in typing, which costs a third of the import
if TYPE_CHECKING:
    from typing import Any, ClassVar


class RectangleBoxObjectDetectionResponse:
    """Boxes found in one picture.

    Parameters
    ----------
    height, width, depth
        Size of the picture in pixels, and its number of channels.
    """

    _response_type: ClassVar[str] = "rectangle_box_detection"

    def __init__(self, height: int, width: int, depth: int) -> None:
        self.height = height
        self.width = width
        self.depth = depth
        self.objects: list[dict[str, Any]] = []

    def add_object(
        self, name: str, xmin: float, ymin: float, xmax: float, ymax: float, score: float
    ) -> None:
        """Add one box; corners in pixels, score from 0 to 1."""
        self.objects.append(
            {
                "name": name,
                "score": float(score),
                "xmin": int(xmin),
                "ymin": int(ymin),
                "xmax": int(xmax),
                "ymax": int(ymax),
            }
        )

    def dumps(self, error: str = "") -> dict[str, Any]:
        """Return the answer as a mapping that JSON can hold."""
        return {
            "type": self._response_type,
            "height": self.height,
            "width": self.width,
            "depth": self.depth,
            "objects": self.objects,
            "error": error,
        }


class ClassificationResponse:
    """The class of one picture."""

    _response_type: ClassVar[str] = "classification"

    @staticmethod
    def dumps(
        height: int,
        width: int,
        depth: int,
        class_id: int,
        class_name: str | None = None,
        error: str = "",
    ) -> dict[str, Any]:
        """Return the answer as a mapping that JSON can hold."""
        return {
            "type": ClassificationResponse._response_type,
            "height": height,
            "width": width,
            "depth": depth,
            "class_id": class_id,
            "class_name": class_name,
            "error": error,
        }


class SegmentationResponse:
    """The mask of one picture."""

    _response_type: ClassVar[str] = "segmentation"

    @staticmethod
    def dumps(height: int, width: int, depth: int, mask: object, error: str = "") -> dict[str, Any]:
        """Return the answer as a mapping that JSON can hold, if `mask` is one."""
        return {
            "type": SegmentationResponse._response_type,
            "height": height,
            "width": width,
            "depth": depth,
            "mask": mask,
            "error": error,
        }
