"""Local folders, gs:// and s3:// behind one small face, over fsspec."""

from petalflow.storage.complete import building, check_complete, is_complete
from petalflow.storage.files import (
    File,
    absolute,
    copy_tree,
    exists,
    is_local,
    join,
    list_files,
    list_folders,
    local_copy,
    local_path,
    open_file,
    read_bytes,
    read_json,
    remove,
    write_bytes,
    write_json,
)

__all__ = [
    "File",
    "absolute",
    "building",
    "check_complete",
    "copy_tree",
    "exists",
    "is_complete",
    "is_local",
    "join",
    "list_files",
    "list_folders",
    "local_copy",
    "local_path",
    "open_file",
    "read_bytes",
    "read_json",
    "remove",
    "write_bytes",
    "write_json",
]
