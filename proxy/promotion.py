"""Which version of a deployment is used where, changed in the file that says it, and nowhere else.

What must stay true: the file is replaced as a whole or not at all, and only by a text with which the whole config is
valid; whoever else has changed it meanwhile is not overwritten. What stood there before is kept under `previous`, so
that `rollback` has no need of a history.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from proxy.config import Config, load
from proxy.config.deployment import CURRENT, Versions, find
from proxy.config.project import Environment
from proxy.config.splice import Value, splice
from proxy.errors import ConfigError, NotFound


@dataclass(slots=True, frozen=True)
class Change:
    """What becomes of a file, and in words what was done. `before` is None for a file that is not there yet."""

    path: Path
    before: str | None
    after: str
    told: str


def promote(config: Config, name: str, environment: str) -> Change:
    """Let `environment` have the version that `name` names, `name@version`."""
    versions, number = _pinned(config, name)
    return _set(versions, environment, number, f"{versions.id}:{environment} is {number} now")


def rollback(config: Config, name: str) -> Change:
    """Let what `name` names, `name` or `name:environment`, have what stood there before, and that be what is now."""
    versions, _ = _named(config, name)
    environment = name[len(versions.id) + 1 :] or CURRENT
    before = versions.previous.get(environment)
    if environment not in versions.places():
        raise _no_environment(versions, environment)
    if before is None:
        raise ConfigError(f"{versions.id}:{environment} has no previous version in {versions.where}: promote one")
    now = _share(versions.places()[environment])
    told = f"{versions.id}:{environment} is {_told(_share(before))} again"
    return _edit(versions, {_place(environment): _share(before), ("previous", environment): now}, told)


def canary(config: Config, name: str, percent: float, environment: str) -> Change:
    """Give the version that `name` names a share of `environment`; the others share the rest as they did."""
    versions, number = _pinned(config, name)
    if not 0 < percent < 100:
        raise ConfigError("a canary gets more than 0% and less than 100%: for all of it, promote the version")
    present = versions.places().get(environment)
    if present is None:
        raise _no_environment(versions, environment)
    others = {one.deployment: one.weight for one in present.variants if one.deployment != number}
    if not others:
        raise ConfigError(f"{versions.id}:{environment} has nothing but {number}: name another version as its canary")
    whole = sum(others.values())
    shares = {one: round(weight / whole * (100 - percent), 6) for one, weight in others.items()}
    shares[number] = percent
    return _set(versions, environment, shares, f"{versions.id}:{environment} is {_told(shares)} now")


def write(change: Change, config_path: Path, environ: Mapping[str, str]) -> None:
    """Replace the file, if the config is valid with it and nobody has changed it. Raises `ConfigError`."""
    check(change, config_path, environ)
    path = Path(os.path.realpath(change.path))  # a link stays one
    with _locked(path if change.before is not None else path.parent):
        if _read(path) != change.before:
            raise ConfigError(f"{change.path} was changed meanwhile: nothing was written, try again")
        _replace(path, change.after)


def check(change: Change, config_path: Path, environ: Mapping[str, str]) -> None:
    """Raise `ConfigError` if the config would not be valid with the change."""
    try:
        load(config_path, environ, {change.path: change.after})
    except ConfigError as error:
        raise ConfigError(f"nothing was written, the config would not be valid:\n{error.message}") from None


def _named(config: Config, name: str) -> tuple[Versions, Environment]:
    versions, environment = find(config.versions, name)
    if not versions.kept or versions.path is None:
        raise ConfigError(
            f"{versions.where} has one version of {versions.id!r} and no environments: keep several under versions:"
            " v1, v2 ... (docs/deployments.md)"
        )
    return versions, environment


def _pinned(config: Config, name: str) -> tuple[Versions, str]:
    """The deployment and the one version that a name leads to."""
    versions, environment = _named(config, name)
    if "@" not in name[len(versions.id) :]:
        there = ", ".join(f"{versions.id}@{number}" for number in versions.versions)
        raise NotFound(f"name the version: {there}")
    return versions, environment.variants[0].deployment


def _no_environment(versions: Versions, environment: str) -> NotFound:
    there = ", ".join(versions.places())
    return NotFound(f"deployment {versions.id!r} has no environment {environment!r} (there are: {there})")


def _set(versions: Versions, environment: str, share: Value, told: str) -> Change:
    """Let an environment have a share. What stood there alone before is kept; a canary is only on its way."""
    present = versions.places().get(environment)
    changes = {_place(environment): share}
    if present is not None:
        now = _share(present)
        if now == share:
            raise ConfigError(f"{versions.id}:{environment} is {_told(share)} already")
        if isinstance(now, str) or environment not in versions.previous:
            changes["previous", environment] = now
    return _edit(versions, changes, told)


def _edit(versions: Versions, changes: Mapping[tuple[str, ...], Value], told: str) -> Change:
    if versions.path is None:
        raise ConfigError(f"{versions.id} stands in no file")
    before = _read(versions.path)
    after = before or ""
    for place, value in changes.items():
        after = splice(after, str(versions.path), (*versions.place, *place), value)
    return Change(versions.path, before, after, f"{told} ({versions.path})")


def _place(environment: str) -> tuple[str, ...]:
    return (CURRENT,) if environment == CURRENT else ("environments", environment)


def _share(environment: Environment) -> Value:
    if not environment.experiment:
        return environment.variants[0].deployment
    return {variant.deployment: variant.weight for variant in environment.variants}


def _told(share: Value) -> str:
    if isinstance(share, str):
        return share
    whole = sum(share.values())
    return ", ".join(f"{number} {weight / whole * 100:.4g}%" for number, weight in share.items())


def _read(path: Path) -> str | None:
    """The file's text as it is, its line ends included; None if there is none."""
    try:
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is no UTF-8 text") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None


def _replace(path: Path, text: str) -> None:
    """Put `text` in the file's place in one step, with the owner and the mode of what was there."""
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with open(descriptor, "wb") as file:
                file.write(text.encode())
                file.flush()
                _like(path, descriptor)
                os.fsync(descriptor)
            os.replace(name, path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)
            raise
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}") from None


def _like(path: Path, descriptor: int) -> None:
    try:
        there = path.stat()
    except FileNotFoundError:
        there = path.parent.stat()  # a new file is as open as its folder is
        os.fchmod(descriptor, there.st_mode & 0o666)
        return
    os.fchmod(descriptor, there.st_mode & 0o7777)
    if (there.st_uid, there.st_gid) != (os.geteuid(), os.getegid()):
        with contextlib.suppress(PermissionError):
            os.fchown(descriptor, there.st_uid, there.st_gid)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """As long as nobody else does the same to this file; where there are no such locks, without one."""
    if os.name != "posix":
        yield
        return
    import fcntl

    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
