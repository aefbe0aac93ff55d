"""Logging of Python programs that hooks run."""

import json
import logging
import logging.config
import os


def setup():
    """Send log lines to standard error.

    They are debugging ones, too, when DIB_DEBUG_TRACE is above 0.
    DIB_PYTHON_LOGGING_CONFIG_FILE names a JSON file in the form of
    logging.config.dictConfig that is used instead.
    """
    config = os.environ.get('DIB_PYTHON_LOGGING_CONFIG_FILE')
    if config:
        with open(config) as stream:
            logging.config.dictConfig(json.load(stream))
        return
    trace = int(os.environ.get('DIB_DEBUG_TRACE') or 0) > 0
    where = ' %(funcName)s %(pathname)s:%(lineno)d' if trace else ''
    logging.basicConfig(
        level=logging.DEBUG if trace else logging.INFO,
        format='%(levelname)s %(name)s [-] %(message)s' + where,
        force=True)
