"""What users entrust to us and is read back later: encrypted, with a key of the installation."""

from __future__ import annotations

import base64
import hashlib

from cryptography.fernet import Fernet, InvalidToken

from kpl_lab.errors import KplError


class Vault:
    """Encrypts texts and reads them back.

    Parameters
    ----------
    key
        The installation's secret ``at-rest``, of any form and length.
    """

    def __init__(self, key: str) -> None:
        digest = hashlib.sha256(key.encode()).digest()
        self._fernet = Fernet(base64.urlsafe_b64encode(digest))

    def seal(self, text: str) -> str:
        """Return ``text`` encrypted and signed."""
        return self._fernet.encrypt(text.encode()).decode("ascii")

    def open(self, sealed: str) -> str:
        """Return what was sealed.

        Raises
        ------
        KplError
            It was sealed with another key, or was changed.
        """
        try:
            return self._fernet.decrypt(sealed.encode()).decode()
        except InvalidToken as error:
            raise KplError(
                "A stored password cannot be read: the key of this installation "
                "(secrets/at-rest) is not the one that it was stored with. Enter it again.",
                code="key_changed",
            ) from error
