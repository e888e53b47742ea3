"""Rewriting the page of all runs of a name at the end of each."""

import logging

from petalflow import overview

log = logging.getLogger(__name__)


def rewrite_page(record_uri: str, state_uri: str, run_id: str, name: str) -> None:
    """Adds a run to the page of all runs; a failure is only logged.

    Args:
        record_uri: The folder of the records.
        state_uri: The state shared by all runs of the name.
        run_id: The run, which has ended.
        name: The name it releases under.
    """
    try:
        entries = overview.update(record_uri, state_uri, changed=run_id)
        log.info("all runs: %s", overview.write_page(record_uri, name, entries))
    except Exception as error:  # no reason for the run to fail
        log.warning("cannot rewrite %s: %s", overview.page_address(record_uri), error)
