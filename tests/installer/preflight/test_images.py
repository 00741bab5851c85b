"""What k0s and charts will ask for is looked for in a real registry, over TLS, before anything is installed."""

import io
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.archive import files
from bench.layout import chart, image, index, layer
from installer.binary import ImageBinary
from installer.errors import SourceUnusable, WillNot
from installer.host import Host
from installer.preflight.chart_images import chart_images
from installer.preflight.completeness import check_images, require_images
from installer.preflight.finding import Finding, Severity
from installer.preflight.images import ImageName
from installer.preflight.unnamed import unnamed_program
from installer.remote import Remote
from installer.settings import Settings
from installer.settings_types import K0sVersion
from registry.storage.store import Store
from tests.conftest import Server, serving
from tests.images import publish, small_image
from tests.installer.standin.images import list_images
from tests.installer.standin.machine import Machine

VALUES = {
    "registry": {"name": "not an image", "url": "https://example.com"},
    "image": {"repository": "ghcr.io/site/app", "tag": ""},
    "flux": {"image": "ghcr.io/flux/controller", "tag": "v1.2"},
    "sidecar": "quay.io/site/sidecar:2",
    "split": {"registry": "quay.io", "repository": "site/split", "tag": 3},
    "charts": {"repository": "oci://ghcr.io/site/charts", "tag": "1"},
    "db": {"image": {"tag": "17"}},
    "off": {"enabled": False},
}
TEMPLATE = """
containers:
  - image: busybox:1.36
    name: a
  - image: "{{ .Values.sidecar }}"
  - image: {{ include "app.image" . }}
  - image: '{{ .Values.split.registry }}/site/fourth:{{ .Chart.AppVersion }}' # a comment
"""
MEMBERS = {
    "Chart.yaml": {
        "name": "app",
        "version": "1.0.0",
        "appVersion": "7.7",
        "dependencies": [{"name": "sub", "alias": "db"}],
    },
    "values.yaml": VALUES,
    "templates/deployment.yaml": TEMPLATE,
    "charts/sub/Chart.yaml": {"name": "sub", "version": "2.0.0"},
    "charts/sub/values.yaml": {"image": {"repository": "docker.io/library/postgres", "tag": "16"}},
    "charts/off/Chart.yaml": {"name": "off", "version": "2.0.0"},
    "charts/off/values.yaml": {"image": {"repository": "never", "tag": "1"}},
}


def packed(members: dict[str, object]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for name, content in members.items():
            body = (content if isinstance(content, str) else yaml.safe_dump(content)).encode()
            member = tarfile.TarInfo(f"app/{name}")
            member.size = len(body)
            archive.addfile(member, io.BytesIO(body))
    return made.getvalue()


def test_a_chart_s_values_dependencies_and_templates_tell_its_images() -> None:
    found = chart_images(packed(MEMBERS), "app")
    assert {str(each) for each in found.images} == {
        "ghcr.io/site/app:7.7",
        "ghcr.io/flux/controller:v1.2",
        "quay.io/site/split:3",
        "docker.io/library/postgres:17",
        "docker.io/library/busybox:1.36",
        "quay.io/site/sidecar:2",
        "quay.io/site/fourth:7.7",
    }
    assert found.unknown == 1


def test_values_that_circle_end() -> None:
    assert chart_images(
        packed({**MEMBERS, "values.yaml": "a: &a {b: [*a], image: quay.io/x/y, tag: '1'}\n"}), "app"
    ).images


@pytest.mark.parametrize("archive", [b"", b"no archive", packed({"Chart.yaml": "a: [", "values.yaml": "b"})])
def test_what_is_no_chart_is_told(archive: bytes) -> None:
    with pytest.raises(SourceUnusable, match="app"):
        chart_images(archive, "app")


@settings(max_examples=30, deadline=None)
@given(
    st.dictionaries(
        st.text(),
        st.recursive(
            st.none() | st.text() | st.integers(),
            lambda inner: (
                st.lists(inner)
                | st.dictionaries(st.sampled_from(["image", "repository", "tag", "registry", "x"]), inner)
            ),
        ),
    )
)
def test_no_values_break_the_reader(values: dict[str, object]) -> None:
    for found in chart_images(packed({"Chart.yaml": {"name": "a"}, "values.yaml": values}), "app").images:
        assert ImageName.parse(str(found)) == found


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("quay.io/k0sproject/calico-node:v3", ("k0sproject/calico-node",)),
        ("registry.k8s.io/pause:3.9", ("pause",)),
        ("busybox:1", ("library/busybox", "busybox")),
        ("10.0.0.1:5000/a/b:1", ("a/b",)),
        ("registry.mirantis.com/k0rdent-enterprise/ui:1", ("k0rdent-enterprise/ui", "ui")),
    ],
)
def test_an_image_is_looked_for_where_its_pull_will_end(text: str, places: tuple[str, ...]) -> None:
    parsed = ImageName.parse(text)
    assert parsed is not None
    assert parsed.places == places
    assert ImageName.parse(text.rpartition(":")[0]) is None


SYSTEM = [image.partition("/")[2] for image in list_images("1.32.8", "calico", "", everything=True)]
LACKING, FOREIGN = SYSTEM[0], SYSTEM[1]


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """All of k0s' images but one, one for another machine, and two charts with an image that is not there."""
    folder = tmp_path_factory.mktemp("registry")
    store = Store.open([folder / "store"])
    arch = Host().architecture()
    for name in SYSTEM[2:]:
        publish(store, index([small_image(arch=arch), small_image(arch="s390x")]), name)
    publish(store, small_image(arch="s390x"), FOREIGN)
    binary = layer(files({"usr/local/bin/k0s": Machine.k0s_program("1.32.8")}, mode=0o755))
    publish(store, image([binary], arch=arch), "k0sproject/k0s:v1.32.8-k0s.0")
    kcm = {"values.yaml": b"image: {repository: ghcr.io/kcm/controller, tag: 1}\nother: {image: q.io/a/gone, tag: 2}\n"}
    publish(store, chart("k0rdent-enterprise", "1.2.3", kcm), "charts/k0rdent-enterprise:1.2.3")
    publish(store, small_image(arch=arch), "kcm-controller:1")
    web = {"templates/web.yaml": b"image: library/nginx:1\n---\nimage: {{ tpl .x . }}\n"}
    publish(store, chart("web", "1.0.0", web), "charts/web:1.0.0")
    publish(store, small_image(arch=arch), "nginx:1")
    publish(store, small_image(), "charts/no-chart:1")
    store.close()
    ca = folder / "store/pki/ca.crt"
    with serving("-s", folder / "store", "--workers", "2", log=folder / "log", ca=ca) as server:
        yield server


def test_what_the_registry_lacks_is_told_with_who_wants_it(registry: Server, host: Host) -> None:
    assert registry.ca is not None
    remote = Remote(registry.host, registry.ca.read_bytes())
    found = list(check_images(host, remote, Settings()))
    assert wording(found, Severity.FATAL, LACKING) == 1
    assert wording(found, Severity.FATAL, FOREIGN) == 1
    assert wording(found, Severity.WARNING, "q.io/a/gone:2") == 1
    assert wording(found, Severity.WARNING, "no-chart") == 1
    assert wording(found, Severity.NOTE, "1 lines") == 1
    assert len(found) == 5
    assert not (host.root / "var/tmp").exists()


def test_an_installation_needs_the_images_of_k0s_and_is_told_of_the_others(registry: Server, host: Host) -> None:
    assert registry.ca is not None
    remote = Remote(registry.host, registry.ca.read_bytes())
    k0s = ImageBinary(remote, K0sVersion.parse("1.32.8"), host.architecture())
    with pytest.raises(WillNot, match="lacks images of k0s") as refused:
        require_images(host, remote, Settings(), k0s)
    assert [each in str(refused.value) for each in (LACKING, FOREIGN, "gone")] == [True, True, False]
    unknown = ImageBinary(remote, K0sVersion.parse("1.99.0"), host.architecture())
    told = require_images(host, remote, Settings(), unknown)
    assert wording(told, Severity.WARNING, "k0s' own images are not known") == 1
    assert wording(told, Severity.WARNING, "q.io/a/gone:2") == 1
    joining = Settings.model_validate({"join": {"mode": "worker", "server": "192.0.2.1", "token": "t"}})
    assert len(require_images(host, remote, joining, unknown)) == 1


@pytest.mark.parametrize("folder", ["disk", "no-disk", "no-programs"])
def test_a_k0s_that_only_tells_its_images_is_never_in_a_folder(tmp_path: Path, folder: str) -> None:
    place = tmp_path / folder
    if folder != "no-disk":
        place.mkdir()
    with ExitStack() as mounted:
        if folder == "no-programs":
            mount = ["mount", "-t", "tmpfs", "-o", "noexec", "tmpfs", str(place)]
            if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
                pytest.skip("nothing can be mounted here")
            mounted.callback(subprocess.run, ["umount", str(place)], check=False)
        pieces = (b"#!/bin/sh\nls -A ", str(tmp_path / "disk").encode(), b"; echo as $1\n")
        with unnamed_program(pieces, place) as program:
            shown = subprocess.run([program, "told"], capture_output=True, text=True, check=True).stdout
    assert shown == "as told\n"
    assert not program.exists()


def wording(found: list[Finding], severity: Severity, part: str) -> int:
    return sum(each.severity is severity and part in each.what for each in found)


def test_another_ca_is_not_believed(registry: Server, host: Host) -> None:

    with pytest.raises(SourceUnusable):
        list(check_images(host, Remote(registry.host), Settings()))
