"""The files for containers and services: what they set exists, what they promise agrees, and nothing is left open."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from bot.config.secret_files import SUFFIX
from bot.config.settings import Settings, secret_variables, variable
from tests.support.dockerfile import ROOT, stages

VARIABLES = {variable(name) for name in Settings.model_fields} | {f"{name}{SUFFIX}" for name in secret_variables()}
OF_THE_MACHINE = {"PATH", "HOME", "PYTHONDONTWRITEBYTECODE"}
SPARE_S = 10  # after the drain, until the process is killed
MOST_EXPOSURE = 2.0  # of systemd-analyze's 10


def compose() -> dict[str, Any]:
    """Return compose.yaml's content."""
    content: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    return content


def pod() -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the pod of the Kubernetes example, and its container."""
    documents = yaml.safe_load_all((ROOT / "deploy/kubernetes.yaml").read_text(encoding="utf-8"))
    deployment = next(document for document in documents if document["kind"] == "Deployment")
    assert deployment["spec"]["replicas"] == 2
    spec = deployment["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    return spec, container


def unit() -> dict[str, list[str]]:
    """Return the service's section of the systemd unit: the values of each key."""
    values: dict[str, list[str]] = {}
    for line in (ROOT / "deploy/attendant.service").read_text(encoding="utf-8").splitlines():
        if "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            values.setdefault(key, []).append(value)
    return values


def environments() -> dict[str, dict[str, str]]:
    """Return the variables that each file sets for the bot."""
    return {
        "Dockerfile": {name: text for name, text in stages()[-1].environment.items() if name not in OF_THE_MACHINE},
        "compose.yaml": compose()["services"]["bot"]["environment"],
        "kubernetes.yaml": {each["name"]: each["value"] for each in pod()[1]["env"]},
        "attendant.service": dict(line.split("=", 1) for line in unit()["Environment"]),
    }


@pytest.mark.parametrize("file", environments())
def test_every_variable_is_a_setting(file: str) -> None:
    """No file sets a variable that the bot does not read, and each value that is no path of a secret is accepted."""
    environ = environments()[file]

    assert {*environ} - VARIABLES == set()
    Settings.load({name: text for name, text in environ.items() if not name.endswith(SUFFIX)})


@pytest.mark.parametrize("file", environments())
def test_no_secret_stands_in_a_variable(file: str) -> None:
    """Secrets are files, so that no list of processes or containers shows them."""
    assert {*environments()[file]} & {*secret_variables()} == set()


def test_secrets_lie_where_the_variables_say() -> None:
    """Each path of a secret is one that the platform provides."""
    services, (_, container) = compose(), pod()
    given = {f"/run/secrets/{name}" for name in services["services"]["bot"]["secrets"]}
    (mounted,) = [each["mountPath"] for each in container["volumeMounts"] if each["name"] == "secrets"]
    credentials = {f"%d/{line.partition(':')[0]}" for line in unit()["LoadCredential"]}
    in_files = {file: {text for name, text in environ.items() if name.endswith(SUFFIX)}
                for file, environ in environments().items()}  # fmt: skip

    assert in_files["compose.yaml"] == given
    assert {path.rpartition("/")[0] for path in in_files["kubernetes.yaml"]} == {mounted}
    assert in_files["attendant.service"] == credentials
    assert all(name in services["secrets"] for each in services["services"].values() for name in each["secrets"])
    ignored = subprocess.run(["git", "check-ignore", "-q", "secrets/database_url"], cwd=ROOT, check=False)
    assert ignored.returncode == 0 or not (ROOT / ".git").exists()


def test_the_health_port_is_one() -> None:
    """The image serves, exposes and checks the same port, and the probes ask it."""
    image, (_, container) = stages()[-1], pod()
    port = image.environment["HEALTH_PORT"]

    assert image.values("EXPOSE") == [port]
    assert f"http://127.0.0.1:{port}/readyz" in image.health_command[-1]
    assert [(each["name"], str(each["containerPort"])) for each in container["ports"]] == [("health", port)]
    assert environments()["kubernetes.yaml"]["HEALTH_PORT"] == port
    probes = {name: container[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert {probe["port"] for probe in probes.values()} == {"health"}
    assert [probe["path"] for probe in probes.values()] == ["/healthz", "/healthz", "/readyz"]


def test_the_drain_ends_before_the_kill() -> None:
    """Each platform waits for longer than running answers may go on."""
    waits = {
        "compose.yaml": compose()["services"]["bot"]["stop_grace_period"].removesuffix("s"),
        "kubernetes.yaml": pod()[0]["terminationGracePeriodSeconds"],
        "attendant.service": unit()["TimeoutStopSec"][0],
    }
    for file, seconds in waits.items():
        drains = environments()[file].get("DRAIN_SECONDS", Settings.load({}).drain_seconds)
        assert float(seconds) >= float(drains) + SPARE_S, file


def test_images_are_pinned_by_their_tag() -> None:
    """No image is `latest`. The bot's is of this version."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    services = compose()["services"]
    images = [*(stage.image for stage in stages()), *(each["image"] for each in services.values())]

    assert [image for image in images if not re.fullmatch(r"[a-z]+:[0-9][\w.-]*", image)] == []
    assert services["bot"]["image"] == pod()[1]["image"] == f"attendant:{version}"
    assert stages()[0].image == stages()[1].image


def test_containers_may_do_nothing_that_they_do_not_need() -> None:
    """Every container has a read-only root, no capability, no way to gain one, and a user who is not root."""
    spec, container = pod()
    for service in compose()["services"].values():
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert not {"privileged", "ports", "cap_add", "network_mode"} & {*service}
    user = int(stages()[-1].values("USER")[0].partition(":")[0])
    assert (spec["securityContext"]["runAsNonRoot"], spec["securityContext"]["runAsUser"]) == (True, user)
    assert spec["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    folder = stages()[-1].values("WORKDIR")[0]
    assert stages()[-1].values("VOLUME") == [f"{folder}/data"]
    assert {each["mountPath"] for each in container["volumeMounts"]} >= {f"{folder}/data", "/tmp"}  # noqa: S108


def test_every_service_has_a_health_check() -> None:
    """The bot's is the image's own. The bot waits for the database's."""
    services = compose()["services"]

    assert services["database"]["healthcheck"]["test"][0] == "CMD"
    assert "healthcheck" not in services["bot"]
    assert services["bot"]["depends_on"] == {"database": {"condition": "service_healthy"}}
    assert stages()[-1].health_command[0] == "python"


def test_only_what_the_image_needs_is_sent_to_its_build() -> None:
    """The build's context is a list of what is let in, so that a new file with a secret stays outside."""
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    copied = {name for line in stages()[0].values("COPY") for name in line.split()[:-1]}

    assert lines[0] == "*"
    assert {line[1:] for line in lines if line[0] == "!"} == copied


def test_the_unit_is_well_formed() -> None:
    """systemd's file parses, starts the installed command and goes on for ever."""
    parser = configparser.ConfigParser(strict=False, interpolation=None, delimiters=("=",), comment_prefixes=("#",))
    parser.read_string((ROOT / "deploy/attendant.service").read_text(encoding="utf-8"))

    assert parser.sections() == ["Unit", "Service", "Install"]
    assert unit()["ExecStart"] == ["/opt/attendant/.venv/bin/attendant run"]
    assert (unit()["Restart"], unit()["StartLimitIntervalSec"]) == (["always"], ["0"])


def test_the_unit_is_hardened() -> None:
    """systemd rates the service's exposure below 2.0 of 10."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        message = "NO SYSTEMD: install Debian's package systemd to rate the unit"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    arguments = [analyze, "security", "--offline=true", "--no-pager", "deploy/attendant.service"]
    rated = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    level = re.search(r"exposure level for \S+: ([0-9.]+)", rated)
    assert level is not None
    assert float(level[1]) < MOST_EXPOSURE


def test_the_check_names_what_it_could_not_check(tmp_path: Path) -> None:
    """Without a container runtime the script passes, and says aloud what is left."""
    for tool in ("bash", "dirname", "sed", "awk"):
        (tmp_path / tool).symlink_to(shutil.which(tool) or tool)
    ended = subprocess.run(["bash", "deploy/check.sh"], cwd=ROOT, env={"PATH": str(tmp_path), "DEPLOY_BUILD": "1"},
                           capture_output=True, text=True, check=False)  # fmt: skip

    missed = [line for line in ended.stdout.splitlines() if line.startswith("NOT CHECKED: ")]
    assert (ended.returncode, len(missed)) == (0, 4), ended
    assert "no container runtime answers" in ended.stdout
