"""Reads images in YAML by diskimage-builder --dry-run."""
import os
import re
import shlex
import tempfile

import yaml

from diskimage_builder import paths
from diskimage_builder.commands import run


class Command:
    """A command line that the program printed."""

    def __init__(self, line):
        words = shlex.split(line)
        while re.match(r"[A-Za-z_][A-Za-z0-9_]*=", words[0]):
            words.pop(0)
        self.words = words

    def command(self):
        script = os.path.join(paths.get_path("lib"), self.words[0])
        return ["bash", script] + self.words[1:]


def build_commands(definition):
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as stream:
        yaml.safe_dump(definition, stream)
        stream.flush()
        dry = run("diskimage-builder", ["--dry-run", stream.name])
    if dry.returncode != 0:
        raise AssertionError(dry.stderr)
    lines = (dry.stdout + dry.stderr).splitlines()
    return [Command(line) for line in lines if "-image-create" in line]
