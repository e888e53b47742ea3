"""Local folders, gs:// and s3:// behind one small face, over fsspec."""

from petalflow.storage.access import check_readable, check_writable
from petalflow.storage.complete import building, check_complete, is_complete
from petalflow.storage.failures import Unavailable
from petalflow.storage.files import (
    File,
    absolute,
    check_address,
    copy_tree,
    create_json,
    exists,
    has_files,
    is_file,
    join,
    list_files,
    list_folders,
    local_copy,
    local_file,
    modified,
    open_file,
    read_bytes,
    read_json,
    remove,
    write_bytes,
    write_json,
)
from petalflow.storage.systems import is_local, local_path

__all__ = [
    "File",
    "Unavailable",
    "absolute",
    "building",
    "check_address",
    "check_complete",
    "check_readable",
    "check_writable",
    "copy_tree",
    "create_json",
    "exists",
    "has_files",
    "is_complete",
    "is_file",
    "is_local",
    "join",
    "list_files",
    "list_folders",
    "local_copy",
    "local_file",
    "local_path",
    "modified",
    "open_file",
    "read_bytes",
    "read_json",
    "remove",
    "write_bytes",
    "write_json",
]
