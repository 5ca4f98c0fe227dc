"""Where things lie: the config file, and the folder of the trace log and the cache.

What must stay true: the folder is entered by nobody but its owner, and never is one that others need.
"""

from __future__ import annotations

import stat
from pathlib import Path

from proxy.errors import ConfigError


def config_path(given: Path | None) -> Path | None:
    """The config file to use; None for the built-in config."""
    here = Path("config.yaml")
    return given or (here if here.is_file() else None)


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
