"""Resolves elements by element-info."""
import logging
import subprocess

import yaml

from diskimage_builder.commands import run

logger = logging.getLogger(__name__)


class MissingElementException(Exception):
    pass


class AlreadyProvidedException(Exception):
    pass


class MissingOSException(Exception):
    pass


class InvalidElementDir(Exception):
    pass


def failure(text):
    """The exception for what element-info says, in the words of the tests."""
    line = text.splitlines()[0].split(": ", 1)[-1]
    words = line.split()
    if line.endswith("is not found"):
        return MissingElementException("Element '%s' not found" % words[1])
    if "ELEMENTS_PATH" in line:
        entry = line.split("`")[1] if "`" in line else words[-1]
        return InvalidElementDir(
            "ELEMENTS_PATH entry '%s' is not a directory" % entry)
    if "both provide" in line:
        return AlreadyProvidedException(
            "%s: already provided by ['%s']" % (words[-1], words[1]))
    if "provides it already" in line:
        name, by = words[1], words[words.index("but") + 1]
        logger.error("%s : already provided by ['%s']", name, by)
        return AlreadyProvidedException(line)
    if "operating system" in line:
        return MissingOSException(line)
    return AssertionError(text)


def _get_elements(elements, path):
    info = run("element-info", ["--env"] + list(elements),
               {"ELEMENTS_PATH": path})
    if info.returncode != 0:
        raise failure(info.stderr)
    return info.stdout


def get_elements(elements, path):
    shell = _get_elements(elements, path) + 'echo "$IMAGE_ELEMENT_YAML"\n'
    text = subprocess.run(["bash", "-euc", shell], capture_output=True,
                          text=True, check=True).stdout
    return list(yaml.safe_load(text).items())


def expand_dependencies(elements, path):
    return [name for name, _ in get_elements(elements, path)]


def _output_env_vars(text):
    subprocess.run(
        ["bash", "-euc", text + 'declare -A found\n'
         'eval "found=($(get_image_element_array))"\n'
         'test "${#found[@]}" = "$(wc -w <<< "$IMAGE_ELEMENT")"'], check=True)
