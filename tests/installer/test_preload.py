"""Images for a runtime that is not to pull: an archive that names them as pods ask for them."""

import json
import tarfile
from dataclasses import replace
from pathlib import Path

from installer import outline
from installer.plan import apply, plan
from installer.remote import Remote
from registry.storage.store import Store
from tests.conftest import serving
from tests.images import publish, small_image
from tests.installer.sites import host_of, site
from tests.installer.standin.images import list_images
from tests.installer.standin.machine import Machine


def test_images_are_preloaded_under_the_names_that_pods_ask_for(machine: Machine, tmp_path: Path) -> None:
    store = Store.open([tmp_path / "store"])
    wanted = [image.partition("/")[2] for image in list_images("1.32.8", "kuberouter", "", everything=True)]
    for image in wanted:
        publish(store, small_image(image.replace("/", "-").replace(":", "-")), image)
    store.close()
    ca = tmp_path / "store/pki/ca.crt"
    with serving("-s", tmp_path / "store", log=tmp_path / "log", ca=ca) as registry:
        whole = site(machine, airgap={"images": {"preload": True, "pullPolicy": "Never"}})
        found = replace(whole, registry=Remote(registry.host, ca.read_bytes()))
        host, steps = host_of(machine), outline.worker(found, "")[:-1]  # all but the service
        for _ in apply(host, plan(host, steps)):
            pass
        assert plan(host, steps) == []
    with tarfile.open(machine.root / "var/lib/k0s/images/k0rdentd-v1.32.8+k0s.0.tar") as archive:
        index = archive.extractfile("index.json")
        assert index is not None
        names = {each["annotations"]["org.opencontainers.image.ref.name"] for each in json.load(index)["manifests"]}
    assert names == {f"{registry.host}/{image}" for image in wanted}
    assert not (machine.root / "var/lib/k0rdentd/installer/preload").exists()
