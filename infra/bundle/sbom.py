"""A bundle's bill of materials, in CycloneDX: the lock's own, of what is inside, without times."""

import json
from collections.abc import Mapping
from importlib.metadata import Distribution
from typing import Any, Final

from packaging.utils import canonicalize_name

from infra.bundle.errors import BundleError
from infra.bundle.licences import licence_of

NAME: Final = "sbom.cdx.json"


def write_sbom(exported: str, packages: Mapping[str, Distribution]) -> str:
    """The document as text, from what uv exports. Raises `BundleError` when a package is not in it."""
    document: dict[str, Any] = json.loads(exported)
    document.pop("serialNumber", None)
    document["metadata"].pop("timestamp", None)
    document["components"] = [
        {**_without_places(component), "licenses": [_licence(packages[name])]}
        for component in document["components"]
        if (name := canonicalize_name(component["name"])) in packages
        and packages[name].version == component["version"]
    ]
    missing = packages.keys() - {canonicalize_name(each["name"]) for each in document["components"]}
    if missing:
        raise BundleError(f"uv's bill of materials lacks {', '.join(sorted(missing))}: run `uv lock --check`")
    inside = {component["bom-ref"] for component in document["components"]}
    inside.add(document["metadata"]["component"]["bom-ref"])
    document["dependencies"] = [
        {**each, "dependsOn": [other for other in each.get("dependsOn", ()) if other in inside]}
        for each in document["dependencies"]
        if each["ref"] in inside
    ]
    return json.dumps(document, indent=1, sort_keys=True) + "\n"


def _without_places(component: dict[str, Any]) -> dict[str, Any]:
    """Without the files of all platforms: they are as long as all else, and uv.lock has them."""
    return {key: value for key, value in component.items() if key != "externalReferences"}


def _licence(distribution: Distribution) -> dict[str, Any]:
    said = distribution.metadata
    if "License-Expression" in said:
        return {"expression": said["License-Expression"]}
    return {"license": {"name": licence_of(distribution)}}
