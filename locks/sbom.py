"""The bill of materials of a wheel: CycloneDX JSON, made from a lock and the project's own metadata.

    python locks/sbom.py pyproject.toml locks/requirements.lock > parea_proxy.cdx.json

What must stay true: the same files make the same bytes, on any machine and at any time; every package of the lock is
in it, with its version and the hashes of all its files; no registry is named, since the lock names none.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import tomllib
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Json = dict[str, Any]

PIN = re.compile(
    r"^(?P<name>[a-z0-9][a-z0-9.-]*)==(?P<version>[^\s;]+)(?: ; (?P<marker>[^\\\n]+?))? \\\n"
    r"(?P<hashes>(?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)",
    re.MULTILINE,
)
HASH = re.compile(r"sha256:([0-9a-f]{64})")


def bill(project: Json, version: str, lock: str) -> Json:
    """The document. `project` is the table of pyproject.toml with that name."""
    name = project["name"]
    root: Json = {
        "type": "application",
        "bom-ref": f"pkg:pypi/{name}@{version}",
        "name": name,
        "version": version,
        "description": project["description"],
        "purl": f"pkg:pypi/{name}@{version}",
    }
    components = list(_components(lock))
    refs = {component["name"]: component["bom-ref"] for component in components}
    direct = sorted(refs[asked] for asked in map(_name, project["dependencies"]))
    # said by the content alone, so that it is the same wherever it is made
    serial = uuid.uuid5(uuid.NAMESPACE_URL, root["purl"] + hashlib.sha256(lock.encode()).hexdigest())
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "metadata": {"component": root, "lifecycles": [{"phase": "build"}]},
        "components": components,
        # which package asks for which is not in a lock: only the first step is told
        "dependencies": [{"ref": root["bom-ref"], "dependsOn": direct}],
        "compositions": [{"aggregate": "complete", "assemblies": [root["bom-ref"]]}],
    }


def _components(lock: str) -> Iterator[Json]:
    """The packages of a lock. Each file has a hash, and it is any one of them that is installed."""
    for pin in PIN.finditer(lock):
        purl = f"pkg:pypi/{pin['name']}@{pin['version']}"
        hashes = [{"alg": "SHA-256", "content": one} for one in HASH.findall(pin["hashes"])]
        component: Json = {
            "type": "library",
            "bom-ref": purl,
            "name": pin["name"],
            "version": pin["version"],
            "purl": purl,
            "externalReferences": [{"type": "distribution", "url": purl, "hashes": hashes}],
        }
        if pin["marker"]:
            component["scope"] = "optional"
            component["properties"] = [{"name": "python:marker", "value": pin["marker"].strip()}]
        yield component


def _name(requirement: str) -> str:
    """The package that a requirement names, as locks write it."""
    return re.sub(r"[-_.]+", "-", re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]).lower()


def _version(folder: Path, project: Json) -> str:
    """The project's version, which stands in its package."""
    where = project["tool"]["hatch"]["version"]["path"]
    found = re.search(r'^__version__ = "([^"]+)"$', (folder / where).read_text("utf-8"), re.MULTILINE)
    assert found is not None, f"{where} tells no version"
    return found[1]


def main(project: Path, lock: Path) -> None:
    document = tomllib.loads(project.read_text("utf-8"))
    version = _version(project.parent, document)
    sys.stdout.write(json.dumps(bill(document["project"], version, lock.read_text("utf-8")), indent=1) + "\n")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
