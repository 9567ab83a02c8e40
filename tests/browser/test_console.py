"""The console in a real browser: what is on it, by mouse and keyboard, below a prefix, in the dark."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dvidkit_conformance.service.process import Served

from dvidkit.engine import StoreConfig
from dvidkit.kernel import Kernel

SHAPE = (24, 40, 56)
PIXELS = """(() => {
  const canvas = document.getElementById('slice'), { width, height } = canvas;
  const { data } = canvas.getContext('2d').getImageData(0, 0, width, height);
  return [width, height, Array.from(data.filter((_, place) => place % 4 == 0))];
})()"""
WHEEL = """document.getElementById('slice').dispatchEvent(
  new WheelEvent('wheel', { deltaY: 1, bubbles: true, cancelable: true }))"""
HOSTILE = "<img src=x onerror=alert(1)>"


@dataclass
class Scene:
    """A server with a repo of four versions on two branches, a merge, a volume, keys and a region."""

    url: str
    root: str
    child: str
    voxels: Any
    changed: Any


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """The server."""
    folder = tmp_path_factory.mktemp("console")
    voxels = np.random.default_rng(6).integers(0, 256, SHAPE, dtype=np.uint8)
    with Kernel(StoreConfig("lmdb", str(folder / "store"))) as kernel:
        kernel.repos.create("empty", "nothing in it")
        repo = kernel.repos.create("brain", HOSTILE)
        repo.create_instance("uint8blk", "gray", BlockSize="16,16,16")
        repo.create_instance("keyvalue", "notes")
        repo.create_instance("uint8blk", "wide", BlockSize="64,64,4")
        repo.create_instance("roi", "region")
        repo.root["gray"].write((-4, 8, 100), voxels)
        repo.root["wide"].write((0, 0, 0), np.resize(voxels, (2, 1100, 1200)))
        repo.root["notes"].put("a b?", b'{"x":[1,2]}')
        repo.root["notes"].put(HOSTILE, HOSTILE.encode())
        repo.root["notes"].put("binary", b"\xff\x00")
        repo.root.commit(HOSTILE)
        child, side = repo.root.new_version(), repo.root.make_branch("side")
        child["gray"].write((-4, 8, 100), 255 - voxels)
        for each in (child, side):
            each.commit()
        repo.merge([child, side], "both")
        uuids = repo.uuid, child.uuid
    with Served(folder / "store", log=folder / "server.log") as served:
        yield Scene(served.url, *uuids, voxels, 255 - voxels)


def opened(page: Any, scene: Scene, name: str = "gray", uuid: str = "") -> None:
    """Open the console at an instance."""
    page.open(f"{scene.url}/#/{uuid or scene.root}/{name}")
    page.until("document.querySelectorAll('#versions button').length")


def shown(page: Any) -> Any:
    """The gray values of the slice on the canvas."""
    width, height, values = page.js(PIXELS)
    return np.array(values, np.uint8).reshape(height, width)


def slice_of(page: Any, tail: str) -> Any:
    """Wait for a slice; its gray values."""
    page.until(f"(document.getElementById('slice').dataset.shown || '').endsWith({json.dumps(tail)})")
    return shown(page)


def test_the_page(page: Any, scene: Scene) -> None:
    """Shows repos, the DAG as a picture, instances with settings; nothing in it fails."""
    opened(page, scene)
    slice_of(page, "xy/100_8_7")
    assert page.js("[...document.querySelectorAll('#repos option')].map(o => o.text).sort().join()") == "brain,empty"
    assert page.js("document.querySelectorAll('#graph circle').length") == 4
    assert page.js("document.querySelectorAll('#graph path').length") == 4
    assert page.js("[...document.querySelectorAll('#instances button')].map(b => b.textContent).join()") == (
        "gray uint8blk,notes keyvalue,region roi,wide uint8blk"
    )
    settings = page.js("document.querySelector('#settings table').innerText")
    assert "BlockSize\t[16,16,16]" in settings
    assert "LZ4 compression" in settings
    assert page.messages == []


def test_slices(page: Any, scene: Scene) -> None:
    """Each plane shows the voxels of the volume, pixel by pixel; the wheel and the arrows go to the next slice."""
    opened(page, scene)
    assert np.array_equal(slice_of(page, "xy/100_8_7"), scene.voxels[11])
    page.js(WHEEL)
    assert np.array_equal(slice_of(page, "xy/100_8_8"), scene.voxels[12])
    page.js("document.getElementById('slice').focus()")
    page.call("Input.dispatchKeyEvent", type="keyDown", key="ArrowDown")
    assert np.array_equal(slice_of(page, "xy/100_8_7"), scene.voxels[11])
    for plane, tail, wanted in (
        ("xz", "xz/100_27_-4", scene.voxels[:, 19, :]),
        ("yz", "yz/127_8_-4", scene.voxels[:, :, 27]),
    ):
        page.js(f"[...document.querySelectorAll('#planes button')].find(b => b.textContent == '{plane}').click()")
        assert page.until(f"document.querySelector('#planes [aria-pressed=true]').textContent == '{plane}'")
        got = slice_of(page, tail)
        assert np.array_equal(got, wanted)


def test_dragging(page: Any, scene: Scene) -> None:
    """Moves what is larger than the picture with the pointer, however slowly it goes."""
    opened(page, scene, "wide")
    slice_of(page, "xy/87_37_0")
    scale = page.js("document.getElementById('slice').width / document.getElementById('slice').clientWidth")
    x, y = page.js("(r => [r.x + 100, r.y + 100])(document.getElementById('slice').getBoundingClientRect())")
    mouse = {"button": "left", "buttons": 1, "clickCount": 1}
    page.call("Input.dispatchMouseEvent", type="mousePressed", x=x, y=y, **mouse)
    for n in range(1, 41):
        page.call("Input.dispatchMouseEvent", type="mouseMoved", x=x + n / 2, y=y + n / 4, **mouse)
    page.call("Input.dispatchMouseEvent", type="mouseReleased", x=x + 20, y=y + 10, **mouse)
    moved = [87 - int(20 * scale), 37 - int(10 * scale)]
    near = [f"xy/{moved[0] + a}_{moved[1] + b}_0" for a in (-1, 0, 1) for b in (-1, 0, 1)]
    page.until(f"{json.dumps(near)}.some(each => document.getElementById('slice').dataset.shown.endsWith(each))")


def test_a_token(page: Any, tmp_path: Path) -> None:
    """Is asked for in words, taken from its field and sent; nothing is shown without it."""
    (tmp_path / "secret").write_text("only for this test, and long enough to sign with")
    (tmp_path / "admin").write_text("an administrator's word")
    config = tmp_path / "config.toml"
    config.write_text(
        '[store.default]\nengine = "lmdb"\npath = "store"\n'
        '[dvidkit]\njwt_secret_file = "secret"\nadmin_token_file = "admin"\npublic_read = false\n'
    )
    with Served(config, log=tmp_path / "server.log") as served:
        admin = {"Authorization": "Bearer an administrator's word"}
        client = served.client()
        assert client.post("/api/repos", {"alias": "closed"}, **admin).status == 200
        token = client.get("/api/server/token?user=reader", **admin).body.decode()
        page.open(f"{served.url}/")
        assert "401" in page.until("document.getElementById('said')?.textContent")
        assert page.js("document.querySelectorAll('#repos option').length") == 0
        page.js("document.getElementById('token').focus()")
        page.call("Input.insertText", text=token)
        page.call("Input.dispatchKeyEvent", type="keyDown", key="Enter", text="\r")
        page.until("document.querySelectorAll('#versions button').length == 1")
        assert page.js("document.getElementById('repos').selectedOptions[0].text") == "closed"
        assert page.js("document.getElementById('said').textContent") == ""


def test_scrolling_across_versions(page: Any, scene: Scene) -> None:
    """Shows the same slice of the next version; so does a click on it."""
    opened(page, scene)
    slice_of(page, "xy/100_8_7")
    page.call("Input.dispatchKeyEvent", type="keyDown", key="]", text="]")
    page.until(f"document.getElementById('slice').dataset.shown.startsWith('{scene.child}')")
    assert np.array_equal(shown(page), scene.changed[11])
    page.js("document.querySelector('#versions button').click()")
    page.until(f"document.getElementById('slice').dataset.shown.startsWith('{scene.root}')")
    assert np.array_equal(shown(page), scene.voxels[11])
    assert page.js("location.hash") == f"#/{scene.root}/gray"


def test_keys_and_values(page: Any, scene: Scene) -> None:
    """Are listed, filtered and shown: JSON indented, bytes as hexadecimal; what looks like HTML stays text."""
    opened(page, scene, "notes")
    page.until("document.querySelectorAll('#keys button').length == 3")
    click = "[...document.querySelectorAll('#keys button')].find(b => b.textContent == {}).click()"
    for key, value in (("a b?", '{\n  "x": [\n    1,\n    2\n  ]\n}'), (HOSTILE, HOSTILE), ("binary", "ff 00")):
        page.js(click.format(json.dumps(key)))
        page.until(f"document.getElementById('value').textContent == {json.dumps(value)}")
    page.js("{ const f = document.getElementById('filter'); f.value = 'bin'; f.dispatchEvent(new Event('input')) }")
    assert page.js("document.getElementById('count').textContent") == "1 of 3 keys"
    assert page.js("document.querySelectorAll('img').length") == 0
    assert page.messages == []


def test_links_to_neuroglancer(page: Any, scene: Scene) -> None:
    """Name the instance at the version as both sources."""
    opened(page, scene)
    slice_of(page, "xy/100_8_7")
    links = page.js("[...document.querySelectorAll('#links a')].map(a => decodeURIComponent(a.href))")
    assert f'"source":"precomputed://{scene.url}/api/node/{scene.root}/gray/precomputed"' in links[0]
    assert f'"source":"dvid://{scene.url}/{scene.root}/gray"' in links[1]


def test_what_is_refused(page: Any, scene: Scene) -> None:
    """Is said on the page, where a screen reader hears it."""
    opened(page, scene, "notes")
    page.until("document.querySelectorAll('#keys button').length == 3")
    page.js("tell(() => showValue('no such key'))")
    assert "404" in page.until("document.getElementById('said').textContent")
    assert page.js("document.getElementById('said').getAttribute('role')") == "status"


def test_every_control_has_a_name(page: Any, scene: Scene) -> None:
    """Of the accessibility tree no button, field or picture is nameless."""
    opened(page, scene)
    slice_of(page, "xy/100_8_7")
    nodes = page.call("Accessibility.getFullAXTree")["nodes"]
    roles = {"button", "combobox", "slider", "textbox", "searchbox", "link", "img", "image"}
    controls = [each for each in nodes if not each["ignored"] and each["role"]["value"] in roles]
    assert len(controls) > 10
    assert [each["role"]["value"] for each in controls if not each.get("name", {}).get("value")] == []


def test_light_and_dark(page: Any, scene: Scene) -> None:
    """The page follows what the system prefers."""
    shades = {}
    for scheme in ("light", "dark"):
        page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        opened(page, scene)
        slice_of(page, "xy/100_8_7")
        shades[scheme] = page.picture()[-5:, -5:].mean()
    page.call("Emulation.setEmulatedMedia", features=[])
    assert shades["light"] > 200
    assert shades["dark"] < 60


MOUNTED = """
import sys, uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount
from dvidkit.engine import StoreConfig
from dvidkit.http import create_app
from dvidkit.kernel import Kernel

sock = __import__("socket").socket()
sock.bind(("127.0.0.1", 0))
sock.listen()
with Kernel(StoreConfig("memory", "")) as kernel:
    repo = kernel.repos.create("mounted")
    repo.create_instance("keyvalue", "notes")
    repo.root["notes"].put("key", b"value")
    app = Starlette(routes=[Mount("/below/here", create_app(kernel))])
    print(sock.getsockname()[1], flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="error")).run([sock])
"""


@pytest.mark.parametrize("path", ["/below/here/", "/below/here/console"])
def test_below_a_prefix(page: Any, path: str, tmp_path: Path) -> None:
    """The page finds the API beside itself."""
    import subprocess
    import sys

    pytest.importorskip("starlette")
    with subprocess.Popen([sys.executable, "-c", MOUNTED], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            page.open(f"http://127.0.0.1:{port}{path}")
            page.until("document.querySelectorAll('#keys button').length == 1")
            assert page.js("document.getElementById('repos').selectedOptions[0].text") == "mounted"
            assert page.messages == []
        finally:
            process.terminate()
