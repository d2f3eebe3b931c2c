from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from orchestrator.output.gallery import Place
from orchestrator.web import files

LEADING_OUT = (
    "../ledger.sqlite",
    "..",
    "a/../../ledger.sqlite",
    "/etc/passwd",
    "a//b.png",
    "",
    ".",
    "./a.png",
    ".suspect/a.png",
    "a/.hidden",
    "..\\ledger.sqlite",
    "C:\\a.png",
    "a.png:stream",
    "a\0.png",
    "x" * 5000,
    "missing.png",
    "folder",
    "out.png",
    "out/ledger.sqlite",
    "circle",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of outputs beside what nobody is to have, with links of all kinds."""
    (tmp_path / "ledger.sqlite").write_bytes(b"tokens")
    made = tmp_path / "files"
    (made / "folder").mkdir(parents=True)
    (made / "a.png").write_bytes(b"picture")
    (made / "folder" / "b ü.png").write_bytes(b"another")
    (made / ".suspect").mkdir()
    (made / ".suspect" / "a.png").write_bytes(b"what is it")
    (made / "out.png").symlink_to(tmp_path / "ledger.sqlite")
    (made / "out").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "linked").symlink_to(made, target_is_directory=True)
    (made / "circle").symlink_to(made / "circle")
    (made / "within.png").symlink_to(made / "a.png")
    return tmp_path


@pytest.mark.parametrize("path", LEADING_OUT)
def test_nothing_leads_out_of_the_folder(folder: Path, path: str) -> None:
    assert files.inside(folder, "files", path) is None


def test_a_folder_that_is_a_link_is_not_followed(folder: Path) -> None:
    assert files.inside(folder, "linked", "a.png") is None


@pytest.mark.parametrize("path", ["a.png", "folder/b ü.png", "within.png"])
def test_what_lies_in_the_folder_is_found(folder: Path, path: str) -> None:
    found = files.inside(folder, "files", path)
    assert found is not None
    assert found.read_bytes() in {b"picture", b"another"}


@given(st.text(st.sampled_from("./\\ab%:\0"), max_size=12))
def test_whatever_an_address_holds_stays_within(tmp_path_factory: pytest.TempPathFactory, path: str) -> None:
    folder = tmp_path_factory.getbasetemp()
    found = files.inside(folder.parent, folder.name, path)
    assert found is None or found.is_relative_to(folder.resolve())


def test_data_is_handed_out_as_the_page_wrote_it(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.write("job", {"name": "it's a \\ \u2028 </script> 'test'\n", "n": [1, 2]})
    found = files.data(place, "job")
    assert found is not None
    assert found[0] == (place.data / "job.js").read_bytes()


@pytest.mark.parametrize(
    "script",
    [
        "alert(1)",
        "gallery.take('job','')\nalert(1)\n",
        "gallery.take('job',''+alert(1)+'')\n",
        "gallery.take('job','\\\\'+alert(1)+'')\n",
        "gallery.take('job',`${alert(1)}`)\n",
        "gallery.take('job','\\\n')\n",
        "gallery.take('other','{}')\n",
        "gallery.take('job','{}');alert(1)\n",
        "",
    ],
)
def test_a_strangers_script_is_no_data(tmp_path: Path, script: str) -> None:
    """A run folder may come from anybody; in a served page its scripts would act for whoever looks at it."""
    place = Place(tmp_path)
    place.data.mkdir(parents=True)
    (place.data / "job.js").write_bytes(script.encode())
    assert files.data(place, "job") is None


def test_a_version_changes_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    assert files.stamp(path) == ""
    path.write_bytes(b"a")
    first = files.stamp(path)
    path.write_bytes(b"ab")
    assert files.stamp(path) != first
    second = files.stamp(path)
    os.utime(path, (1, 1))
    assert files.stamp(path) != second


@pytest.mark.parametrize("name", ["index.html", "style.css", "main.js", "runs.html", "live.js"])
def test_what_the_package_ships_is_found(name: str) -> None:
    assert files.asset(name)


@pytest.mark.parametrize("name", ["../app.py", "app.py", "", "nothing.js", "Main.js", "a/b.js", "__init__.py"])
def test_nothing_else_of_the_package_is(name: str) -> None:
    assert files.asset(name) is None
