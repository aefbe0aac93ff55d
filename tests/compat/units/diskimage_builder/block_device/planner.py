"""goldsmith disk, asked about configurations."""
import json
import os
import re
import subprocess
import tempfile

import yaml

from diskimage_builder.block_device.exception import BlockDeviceSetupException

# What goldsmith says, and the words that the tests look for.
WORDS = (
    (r"an entry is not one node.*", "Config entry top-level should be a single dict:"),
    (r"there is no (\S+) that it could lie on", r"Edge not defined: \1"),
    (r"two nodes are called ([^ ,]+).*", r"Duplicate node name: \1"),
    (r"base is a list, not a word", "base:['invalid_vg'] in lvs does not match a valid vg"),
)


def ask(verb, config, *options):
    """Runs goldsmith disk VERB with a configuration and returns what it printed."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as stream:
        yaml.safe_dump(config, stream)
        stream.flush()
        done = subprocess.run(
            [os.environ["GOLDSMITH_BIN"], "disk", verb, "--config", stream.name,
             *options], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        text = done.stderr.splitlines()[0] if done.stderr else "nothing was said"
        for pattern, words in WORDS:
            text = re.sub(pattern, words, text)
        raise BlockDeviceSetupException(text)
    return done.stdout


def list_form(config):
    return json.loads(ask("graph", config, "--list"))


def graph(config):
    # It is the build that labels the root file system, and here is none.
    told = ask("graph", config, "--json", "--root-label", "mkfs_root")
    return json.loads(told)


def plan(config, size=None):
    options = ["--size", "%dB" % size] if size else []
    return json.loads(ask("plan", config, "--json", *options))


def exec_sudo(command):
    raise AssertionError("not replaced by the test: %s" % command)
