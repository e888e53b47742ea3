"""All runs of a name on one page, which is rewritten after each run and needs no network. No TensorFlow here."""

from petalflow.overview.index import update
from petalflow.overview.page import PAGE_FILE, make_page, page_address, write_page

__all__ = ["PAGE_FILE", "make_page", "page_address", "update", "write_page"]
