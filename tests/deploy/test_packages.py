"""The supply chain: every package is pinned with hashes, its licence is listed, and the bill of materials is valid."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from importlib import resources
from typing import Any

import jsonschema_rs
import pytest

from deploy import packages
from deploy.packages import ROOT, UNKNOWN, locked

LOCKS = ["requirements.lock", "requirements-dev.lock", "requirements-build.lock"]
# What may be shipped beside code under the MIT licence, as long as each package is a file that can be replaced.
PERMITTED = {
    "MIT",
    "MIT-CMU",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "PSF-2.0",
    "LGPL-3.0-only",
    "ISC",
    "MPL-2.0",
}


@pytest.mark.parametrize("lock", LOCKS)
def test_every_requirement_has_its_version_and_hashes(lock: str) -> None:
    """A lock file holds nothing else, so that no file of a package can be exchanged."""
    lines = [line for line in (ROOT / lock).read_text(encoding="utf-8").splitlines() if line and line[0] not in " #"]

    assert len(lines) == len(locked(lock)) > 3
    assert all(each.hashes for each in locked(lock))


def test_the_build_backend_is_the_locked_one() -> None:
    """pyproject.toml asks for the version whose hash is in the lock, and no install step builds with another one."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    pins = [f"{each.name}=={each.version}" for each in locked("requirements-build.lock")]
    installs = re.findall(
        r"(?:pip|PIP\)).*--no-deps.*", f"{(ROOT / 'Makefile').read_text()}\n{(ROOT / 'Dockerfile').read_text()}"
    )

    assert set(project["build-system"]["requires"]) <= set(pins)
    assert len(installs) == 2
    assert all("--no-build-isolation" in line and "--no-index" in line for line in installs)


def test_the_page_lists_every_package_with_its_licence() -> None:
    """docs/licences.md is what `make licences` writes, and each licence is known and permitted."""
    assert packages.PAGE.read_text(encoding="utf-8") == packages.licences_page()
    for each in locked():
        found = re.split(" AND | OR ", packages.licence(each.name))
        assert UNKNOWN not in found, each.name
        assert set(found) <= PERMITTED, each.name


def test_the_bill_of_materials_is_valid() -> None:
    """It follows CycloneDX's own schema and names each locked package with its hashes, and the bot with its version."""
    bill = packages.bill_of_materials()
    schemas = resources.files("cyclonedx.schema") / "_res"

    def schema(name: str) -> Any:
        return json.loads((schemas / name).read_text(encoding="utf-8"))

    jsonschema_rs.validator_for(
        schema("bom-1.6.SNAPSHOT.schema.json"), retriever=lambda uri: schema(uri.rpartition("/")[2])
    ).validate(bill)
    found = {(each["name"], each["version"], len(each["hashes"])) for each in bill["components"]}
    assert found == {(each.name, each.version, len(each.hashes)) for each in locked()}
    assert bill == packages.bill_of_materials()
    assert len(bill["dependencies"][0]["dependsOn"]) == len(
        tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    )


def audited(name: str, *flaws: str) -> dict[str, Any]:
    """Return a package of pip-audit's report."""
    vulns = [{"id": flaw, "fix_versions": ["9.9"], "aliases": [], "description": ""} for flaw in flaws]
    return {"name": name, "version": "1.0", "vulns": vulns}


SKIPPED = {"name": "b", "skip_reason": "Dependency not found on PyPI and could not be audited: b (1.0)"}


@pytest.mark.parametrize(
    ("report", "status", "said"),
    [
        ([audited("a")], 0, ["Audited 1 packages"]),
        ([audited("a", "PYSEC-1")], 1, ["a 1.0: PYSEC-1, fixed in 9.9", "Audited 1 packages"]),
        ([audited("a"), SKIPPED], 0, ["NOT AUDITED: the service knows nothing of 1 packages: b", "Audited 1 packages"]),
        ([SKIPPED], 0, ["NOT AUDITED"]),
    ],
    ids=["clean", "a flaw", "one unknown", "all unknown"],
)
def test_an_audit_says_what_it_did_not_see(report: list[dict[str, Any]], status: int, said: list[str]) -> None:
    """A flaw fails the check. A package that the service does not know is never counted as clean."""
    ended, lines = packages.audit({"dependencies": report})

    assert ended == status
    assert [line[: len(start)] for line, start in zip(lines, said, strict=True)] == said


def test_an_audit_without_its_service_is_aloud() -> None:
    """Where nothing can be reached, the command passes and says that nothing was audited."""
    nowhere = dict.fromkeys(("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy"), "http://127.0.0.1:9")
    command = [sys.executable, "-m", "deploy.packages", "audit"]
    environ = {**nowhere, "PATH": "/usr/bin:/bin"}
    ended = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)

    assert ended.returncode == 0, ended
    assert ended.stdout.startswith("NOT AUDITED: pip-audit's service gave no answer."), ended
