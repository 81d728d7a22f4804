"""Record types that the platform's tools know: labelled images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kpl_dataset.schema import BasicType

if TYPE_CHECKING:
    from kpl_dataset.schema import RecordType

RectangleBoxObjectDetectionDatasetDefine: RecordType = {
    "path": BasicType.String,
    "content": BasicType.ByteArray,
    "contentType": BasicType.String,
    "object": [
        {
            "name": BasicType.String,
            "xmin": BasicType.Int,
            "xmax": BasicType.Int,
            "ymin": BasicType.Int,
            "ymax": BasicType.Int,
            "difficult": BasicType.Int,
            "score": BasicType.Float,
        }
    ],
}

ClassificationDatasetDefine: RecordType = {
    "path": BasicType.String,
    "content": BasicType.ByteArray,
    "contentType": BasicType.String,
    "class_name": BasicType.String,
    "class_id": BasicType.Int,
}
