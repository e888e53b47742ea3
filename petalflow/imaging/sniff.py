"""What a file is, by its first bytes: names lie."""

# Longer than any magic number below.
_HEAD_BYTES = 16


def sniff(data: bytes) -> str:
    """Returns the format of an image file.

    Args:
        data: The file's bytes; the first 16 decide.

    Returns:
        One of "jpeg", "png", "gif", "webp", "bmp", "tiff", or "other".
    """
    head = data[:_HEAD_BYTES]
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "gif"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "webp"
    if head.startswith(b"BM"):
        return "bmp"
    if head.startswith((b"II*\x00", b"MM\x00*")):
        return "tiff"
    return "other"
