"""Answers which digit a picture shows: POST /predict with the picture, or a form with one file.

Needs nothing but the standard library for the serving itself.
"""

from __future__ import annotations

import email.parser
import email.policy
import io
import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import digits_data
import joblib
from PIL import Image
from train import MODEL_FILE

import kpl_helper
from kpl_helper.deploy import ClassificationResponse

MAX_BYTES = 10 * 1024 * 1024
# Against pictures that are small as files and enormous in memory.
Image.MAX_IMAGE_PIXELS = 25_000_000


class BadRequest(Exception):
    """What was sent cannot be understood; the text says why."""


def picture_of(content_type: str, body: bytes) -> Image.Image:
    """Return the picture in a body: the first file of a form, or the body itself."""
    if content_type.startswith("multipart/form-data"):
        head = f"Content-Type: {content_type}\r\n\r\n".encode()
        form = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + body)
        files = [part for part in form.walk() if part.get_filename() is not None]
        if not files:
            raise BadRequest("The form has no file; send the picture in the field `file`.")
        body = files[0].get_payload(decode=True)
    try:
        picture = Image.open(io.BytesIO(body))
        picture.load()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise BadRequest("This is not a picture that can be read; send PNG or JPEG.") from error
    return picture


class Handler(BaseHTTPRequestHandler):
    """Answers /predict and /healthz."""

    protocol_version = "HTTP/1.1"
    timeout = 60
    model: dict = {}

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        if not self.path.startswith("/healthz"):
            super().log_request(code, size)

    def do_GET(self) -> None:
        if self.path.partition("?")[0] in ("/healthz", "/"):
            self.answer(200, {"status": "ok", "classes": self.model["labels"]})
        else:
            self.answer(404, {"error": "There is nothing here; POST a picture to /predict."})

    def do_POST(self) -> None:
        if self.path.partition("?")[0] != "/predict":
            self.close_connection = True
            self.answer(404, {"error": "There is nothing here; POST a picture to /predict."})
            return
        try:
            self.answer(200, self.recognise(self.body()))
        except BadRequest as error:
            self.answer(400, ClassificationResponse.dumps(0, 0, 0, -1, error=str(error)))

    def body(self) -> bytes:
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > MAX_BYTES:
            self.close_connection = True
            raise BadRequest(f"Send the picture with its length, at most {MAX_BYTES} bytes.")
        return self.rfile.read(int(length))

    def recognise(self, body: bytes) -> dict:
        picture = picture_of(self.headers.get("Content-Type", ""), body)
        certainty = self.model["network"].predict_proba([digits_data.vector(picture)])[0]
        best = int(certainty.argmax())
        answer = ClassificationResponse.dumps(
            picture.height, picture.width, len(picture.getbands()), best, self.model["labels"][best]
        )
        scores = {
            name: round(float(c), 4)
            for name, c in zip(self.model["labels"], certainty, strict=True)
        }
        return {**answer, "score": round(float(certainty[best]), 4), "scores": scores}

    def answer(self, status: int, value: dict) -> None:
        content = json.dumps(value, ensure_ascii=False).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def main() -> None:
    folder = Path(kpl_helper.io.get_input_path("model", default="output/save"))
    Handler.model = joblib.load(folder / MODEL_FILE)
    # The platform says the port; in a container it also says to listen on all addresses.
    address = (os.environ.get("HOST", "127.0.0.1"), int(os.environ.get("PORT", "8080")))
    with ThreadingHTTPServer(address, Handler) as server:
        print(f"listening on {address[0]}:{address[1]}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
