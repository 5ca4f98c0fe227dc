"""A secret of this gateway's own, in a file: what seals the cache and names keys without telling them.

What must stay true: the file is readable for its owner only, and processes that start together read the same secret.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
from pathlib import Path

logger = logging.getLogger(__name__)

KEY_SIZE = 32


def load_key(path: Path) -> bytes:
    """The 32 random bytes in `path`, made on first use with mode 0600; processes that race for it agree on one."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = path.read_bytes() if path.exists() else None
    if found is not None and len(found) == KEY_SIZE:
        path.chmod(0o600)
        return found
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(KEY_SIZE))
        if found is not None:
            draft.replace(path)
        else:
            # A link appears whole or not at all, and never over somebody else's key.
            with contextlib.suppress(FileExistsError):
                os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    return path.read_bytes()


def any_key(path: Path) -> bytes:
    """The key in `path`; one that only this process knows, where the disk does not let it be made or read now."""
    try:
        return load_key(path)
    except OSError as error:
        logger.warning("the key in %s cannot be had (%s): this process serves with one of its own", path, error)
        return secrets.token_bytes(KEY_SIZE)
