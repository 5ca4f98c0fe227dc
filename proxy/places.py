"""Where things lie: the config file, the folder of the trace log and the cache, and the port.

What must stay true: the folder is entered by nobody but its owner, and never is one that others need.
"""

from __future__ import annotations

import errno
import socket
import stat
from pathlib import Path
from typing import Any

from proxy.errors import ConfigError


def config_path(given: Path | None) -> Path | None:
    """The config file to use; None for the built-in config."""
    here = Path("config.yaml")
    return given or (here if here.is_file() else None)


def config_of(folder: Path | None, given: Path | None) -> Path | None:
    """The config file that holds for a data folder: beside one that is said, else as ever."""
    if given is None and folder is not None:
        beside = folder.resolve().parent / "config.yaml"
        if beside.is_file() and beside.parent != Path.cwd().resolve():
            return beside
    return config_path(given)


def data_folder(given: Path | None, config: Path | None) -> Path:
    """The data folder: `data` beside a config file of the current directory, else one in the home directory."""
    if given is not None:
        return given
    if config is not None and config.resolve().parent == Path.cwd().resolve():
        return Path("data")
    return Path.home() / ".parea-proxy"


def private(folder: Path) -> Path:
    """`folder`, made if need be, and closed to everybody else."""
    here = Path.cwd().resolve()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        shared = folder.stat().st_mode & stat.S_ISVTX
        if shared or folder.resolve() in {here, *here.parents, Path.home().resolve()}:
            raise ConfigError(f"--data {folder}: must be a folder of its own, since nobody else may enter it")
        folder.chmod(0o700)
    except OSError as error:
        raise ConfigError(f"--data {folder}: cannot be used: {error.strerror}") from None
    return folder


def check_port(host: str, port: int) -> None:
    """Raise `ConfigError` if nothing can listen there, as long as nothing has been written yet."""
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        errors = [_refusal(family, address) for family, _, _, _, address in addresses]
    except OSError as unknown:
        errors = [unknown]
    # a name may stand for an address of a family that this machine has not: one that can be had is enough
    taken = [error for error in errors if error is not None and error.errno in (errno.EADDRINUSE, errno.EACCES)]
    error = next(iter(taken), errors[0] if all(errors) else None)
    if error is None:
        return
    reason = f"{error.strerror}: give an address of this machine with --host (PAREA_PROXY_HOST)"
    if error.errno == errno.EADDRINUSE:
        reason = f"port {port} is in use: choose another with --port (PAREA_PROXY_PORT)"
    elif error.errno == errno.EACCES:
        reason = f"port {port} is not for everybody: choose one above 1023 with --port (PAREA_PROXY_PORT)"
    raise ConfigError(f"cannot listen on {host}: {reason}")


def _refusal(family: int, address: Any) -> OSError | None:
    """Why a socket cannot be bound to an address, if it cannot."""
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        return error
    return None
