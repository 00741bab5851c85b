"""A kubelet's way to an image: the CRI, which reads the drop-in that an installation writes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from tests.e2e.clients import SECONDS


@dataclass(frozen=True)
class Kubelet:
    """Asks containerd over its socket."""

    socket: Path

    def pull(self, image: str) -> str:
        """The digest of the image's config, by which kubelets know it.

        Raises:
            grpc.RpcError: containerd could not pull it.
        """
        wanted = _text(1, _text(1, image.encode()))  # PullImageRequest.image.image
        return _first_text(self._ask("PullImage", wanted))  # PullImageResponse.image_ref

    def _ask(self, method: str, request: bytes) -> bytes:
        with grpc.insecure_channel(f"unix:{self.socket}") as channel:
            call: Any = channel.unary_unary(
                f"/runtime.v1.ImageService/{method}", request_serializer=None, response_deserializer=None
            )
            answer: bytes = call(request, timeout=SECONDS, wait_for_ready=True)
            return answer


def _text(field: int, content: bytes) -> bytes:
    """A length-delimited field of protobuf, of less than 16 KiB."""
    low, high = len(content) & 127, len(content) >> 7
    return bytes([field << 3 | 2, *([low | 128, high] if high else [low])]) + content


def _first_text(message: bytes) -> str:
    assert (message[0], message[1] < 128) == (1 << 3 | 2, True), message
    return message[2 : 2 + message[1]].decode()
