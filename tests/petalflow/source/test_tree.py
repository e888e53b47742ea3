import hashlib
import os
from pathlib import Path

import pytest

from petalflow import storage
from petalflow.errors import PetalflowError, UsageError
from petalflow.source import open_source
from petalflow.source.tree import Folder, hashes


def fill(address: str, *names: str) -> str:
    for name in names:
        storage.write_bytes(storage.join(address, name), name.encode())
    return address


@pytest.fixture
def unprivileged_code(tmp_path: Path) -> str:
    """Code that gives up root's privileges, so that permissions apply to it, and lists a source."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.getuid() and folder.stat().st_mode & 0o077 == 0:
            folder.chmod(0o755)
    return """
        import os, sys
        from petalflow.errors import UsageError
        from petalflow.source import open_source
        if os.getuid() == 0:
            os.setgroups([])
            os.setuid(65534)
        try:
            open_source(sys.argv[1]).list()
        except UsageError as error:
            print(error)
    """


@pytest.mark.parametrize("closed", ["", "rose", "rose/b.jpg"], ids=["source", "class", "file"])
def test_a_file_without_read_permission_is_an_error_of_one_line_that_names_it(
    tmp_path, run_python, unprivileged_code: str, closed: str
) -> None:
    source = Path(fill(str(tmp_path / "photos"), "daisy/a.jpg", "rose/b.jpg"))
    (source / closed).chmod(0)
    done = run_python(unprivileged_code, str(source))
    (source / closed).chmod(0o755)
    assert done.stdout == (
        f"source {source} cannot be read: {(source / closed)}: Permission denied; make it readable, or remove it\n"
    )


def test_a_hidden_folder_that_only_root_can_read_stops_nothing(
    tmp_path: Path, run_python, unprivileged_code: str
) -> None:
    source = Path(fill(str(tmp_path / "photos"), "daisy/a.jpg", "rose/b.jpg", "lost+found/c"))
    (source / "lost+found").chmod(0)  # as on every disk that Linux has formatted
    done = run_python(unprivileged_code, str(source))
    (source / "lost+found").chmod(0o755)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_a_device_or_pipe_is_an_error_of_one_line_and_is_not_waited_for(tmp_path: Path, kind: str) -> None:
    source = fill(str(tmp_path), "daisy/a.jpg", "rose/b.jpg")
    odd = tmp_path / "rose" / "odd.jpg"
    if kind == "pipe":
        os.mkfifo(odd)
    else:
        odd.symlink_to("/dev/zero")
    with pytest.raises(UsageError, match=r"rose/odd\.jpg is not a file"):
        open_source(source).list()


def test_links_in_cycles_are_followed_once(tmp_path: Path) -> None:
    source = fill(str(tmp_path), "daisy/a.jpg", "rose/b.jpg")
    (tmp_path / "daisy" / "again").symlink_to(tmp_path / "daisy")
    (tmp_path / "rose" / "all").symlink_to(tmp_path)
    names = [item.address for item in open_source(source).list().items]
    assert {"daisy/a.jpg", "rose/b.jpg"} <= set(names)
    assert len(names) < 10


def test_long_names_and_names_with_newlines_are_names(tmp_path: Path) -> None:
    names = sorted(["ж" * 127 + "/a.jpg", "r" * 255 + "/" + "b" * 255, "rose/c\nd.jpg"])
    for name in names:
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(name)
    listing, read = open_source(str(tmp_path)).list(), open_source(str(tmp_path)).reader()
    assert [item.address for item in listing.items] == names
    assert [read(item).decode() for item in listing.items] == names


def test_class_folders_that_differ_by_case_are_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Rose and rose differ only by case"):
        open_source(fill(str(tmp_path), "Rose/a.jpg", "rose/b.jpg")).list()


def test_the_error_suggests_class_folders_one_level_further_down(tmp_path: Path) -> None:
    source = fill(str(tmp_path), "flowers/daisy/a.jpg", "flowers/rose/b.jpg", "LICENSE")
    with pytest.raises(UsageError, match=rf"only flowers contains images\); did you mean {source}/flowers\?"):
        open_source(source).check()


@pytest.mark.parametrize("change", ["other", "gone", "folder"])
def test_a_file_that_changes_after_it_was_listed_is_refused(tmp_path: Path, change: str) -> None:
    source = fill(str(tmp_path), "daisy/a.jpg", "rose/b.jpg")
    item = open_source(source).list().items[0]
    (tmp_path / item.address).unlink()
    if change == "other":
        fill(source, item.address + "x")
        (tmp_path / (item.address + "x")).rename(tmp_path / item.address)
    elif change == "folder":
        (tmp_path / item.address).mkdir()
    with pytest.raises(PetalflowError, match=r"daisy/a\.jpg changed while the source was read"):
        open_source(source).reader()(item)


def test_every_file_has_its_own_hash_however_many_there_are(tmp_path: Path) -> None:
    names = [f"{number:04d}" for number in range(1100)]  # more than a task of each thread
    folder = Folder(fill(str(tmp_path), *names))
    assert hashes(folder, folder.files()) == [hashlib.sha256(name.encode()).hexdigest() for name in names]
    assert hashes(folder, []) == []


LEFT_BEHIND = [
    *(
        "daisy/@eaDir/a.jpg/SYNOPHOTO_THUMB_SM.jpg",
        "@eaDir/x",
        "daisy/desktop.ini",
        "daisy/Desktop.INI",
        "daisy/Icon\r",
    ),
    *("daisy/ehthumbs.db", "daisy/thumbs.DB", "$RECYCLE.BIN/$R1.jpg", "$Recycle.Bin/$R2.jpg", "lost+found/1.jpg"),
    *("System Volume Information/IndexerVolumeGuid", "rose/.ipynb_checkpoints/a.jpg", ".Trash-1000/files/a.jpg"),
    *("__MACOSX/daisy/._a.jpg", "daisy/._a.jpg", "#recycle/a.jpg", "rose/@Recycle/b.jpg"),
]


def test_what_systems_leave_behind_is_no_class_and_no_image(tmp_path: Path) -> None:
    kept = ["daisy/Icons.jpg", "daisy/desktop.jpg", "lost+found cats/a.jpg", "rose/a.jpg", "rose/my @eaDir.jpg"]
    listing = open_source(fill(str(tmp_path), *kept, *LEFT_BEHIND)).list()
    assert [item.address for item in listing.items] == kept
    assert listing.classes == ("daisy", "lost+found cats", "rose")
    assert sorted(listing.ignored) == sorted(LEFT_BEHIND)


def test_a_hidden_file_that_cannot_be_read_stops_nothing(tmp_path: Path) -> None:
    fill(str(tmp_path), "daisy/a.jpg", "rose/b.jpg")
    (tmp_path / "daisy" / ".link").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "rose" / ".pipe")
    assert open_source(str(tmp_path)).list().classes == ("daisy", "rose")
