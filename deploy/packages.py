"""The packages that the bot is made of, from the lock file: their licences, a bill of materials, known vulnerabilities.

python -m deploy.packages licences   writes docs/licences.md
python -m deploy.packages sbom       writes dist/attendant-VERSION.cdx.json (CycloneDX 1.6)
python -m deploy.packages audit      asks pip-audit's service; says aloud when it gets no answer
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/licences.md"
UNKNOWN = "unknown"
# The words of packages that do not name their licence by SPDX's identifier (https://spdx.org/licenses/).
_SPDX = {
    "Apache 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "MIT License": "MIT",
    "Python Software Foundation License": "PSF-2.0",
}
_PIN = re.compile(
    r"^(?P<name>[\w.-]+)==(?P<version>\S+?)(?: ; (?P<marker>.*?))? \\\n(?P<hashes>(?: +--hash=.*\n?)+)", re.MULTILINE
)
_INTRODUCTION = """# Licences

For those who decide whether to use or to ship Attendant. Attendant itself has the [MIT licence](../LICENSE). It is made
of the packages below. `requirements.lock` has their versions and hashes. The licence of psycopg (LGPL) asks those who
ship it to let others replace it: it is a folder of Python files, so anybody can. `make licences` writes this page from
the packages' own metadata, and `make sbom` writes a bill of materials (CycloneDX).

| Package | Licence | Only if |
|---|---|---|
"""


@dataclass(frozen=True, slots=True)
class Package:
    """A pinned package. It is installed where its `marker` holds, or everywhere."""

    name: str
    version: str
    marker: str
    hashes: tuple[str, ...]  # SHA-256 of each of its files


def locked(lock: str = "requirements.lock") -> list[Package]:
    """Return the packages that a lock file pins."""
    found = _PIN.finditer((ROOT / lock).read_text(encoding="utf-8"))
    return [
        Package(
            pin["name"], pin["version"], pin["marker"] or "", tuple(re.findall("sha256:([0-9a-f]{64})", pin["hashes"]))
        )
        for pin in found
    ]


def licence(name: str) -> str:
    """Return a package's licence, as SPDX spells it: by its metadata, or by the page where it is not installed."""
    try:
        described = metadata.metadata(name).json
    except metadata.PackageNotFoundError:
        rows = re.findall(rf"^\| {re.escape(name)} \| ([^|]+) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
        return rows[0] if rows else UNKNOWN
    classifiers = [text.rpartition(" :: ")[2] for text in described.get("classifier", ()) if "License ::" in text]
    told = str(described.get("license_expression") or described.get("license") or " AND ".join(classifiers) or UNKNOWN)
    return _SPDX.get(told, told)


def licences_page() -> str:
    """Return the text of docs/licences.md."""
    rows = [f"| {each.name} | {licence(each.name)} | {_code(each.marker)} |\n" for each in locked()]
    return _INTRODUCTION + "".join(rows)


def bill_of_materials() -> dict[str, Any]:
    """Return the bill of materials (https://cyclonedx.org/docs/1.6/json/)."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    bot = _component("application", project["name"], project["version"], project["license"])
    packages = [_component("library", each.name, each.version, licence(each.name), each) for each in locked()]
    direct = {re.split(r"[\[<>=~! ]", line)[0] for line in project["dependencies"]}
    number = uuid.uuid5(uuid.NAMESPACE_OID, repr((bot, packages)))  # the same for the same lock
    needed = [each["bom-ref"] for each in packages if each["name"] in direct]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{number}",
        "version": 1,
        "metadata": {"component": bot},
        "components": packages,
        "dependencies": [{"ref": bot["bom-ref"], "dependsOn": needed}],
    }


def audit(report: dict[str, Any]) -> tuple[int, list[str]]:
    """Return the exit status and the lines about pip-audit's report.

    pip-audit succeeds also when its service knows none of the packages, as a mirror of the registry may not.
    """
    packages = report["dependencies"]
    skipped = [each["name"] for each in packages if "skip_reason" in each]
    lines = [
        f"{each['name']} {each['version']}: {flaw['id']}, fixed in {', '.join(flaw['fix_versions']) or 'no version'}"
        for each in packages
        for flaw in each.get("vulns", ())
    ]
    status = 1 if lines else 0
    if skipped:
        lines.append(f"NOT AUDITED: the service knows nothing of {len(skipped)} packages: {', '.join(skipped)}")
    if len(skipped) < len(packages):
        lines.append(f"Audited {len(packages) - len(skipped)} packages of requirements.lock.")
    return status, lines


def _component(kind: str, name: str, version: str, spdx: str, package: Package | None = None) -> dict[str, Any]:
    reference = f"pkg:pypi/{name}@{version}"
    component = {"type": kind, "bom-ref": reference, "name": name, "version": version, "purl": reference}
    hashes = [{"alg": "SHA-256", "content": each} for each in package.hashes] if package else []
    return component | {"licenses": [{"expression": spdx}]} | ({"hashes": hashes} if hashes else {})


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _write_licences() -> int:
    PAGE.write_text(licences_page(), encoding="utf-8")
    return 0


def _write_bill() -> int:
    bill = bill_of_materials()
    file = ROOT / "dist" / f"attendant-{bill['metadata']['component']['version']}.cdx.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(bill, indent=1) + "\n", encoding="utf-8")
    print(f"Wrote {file.relative_to(ROOT)}: {len(bill['components'])} packages.")
    return 0


def _audit() -> int:
    command = ["-m", "pip_audit", "--require-hashes", "--disable-pip", "--progress-spinner", "off", "-f", "json"]
    command = [sys.executable, *command, "-r", str(ROOT / "requirements.lock")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        status, lines = audit(json.loads(ended.stdout))
    except ValueError:  # no report
        status, lines = 0, [f"NOT AUDITED: pip-audit's service gave no answer. {ended.stderr.strip()[-300:]}"]
    print("\n".join(lines))
    return status


if __name__ == "__main__":
    _COMMANDS: dict[str, Callable[[], int]] = {"licences": _write_licences, "sbom": _write_bill, "audit": _audit}
    sys.exit(_COMMANDS[sys.argv[1]]())
