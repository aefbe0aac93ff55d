"""goldsmith, called by a name of one of its personalities."""
import os
import subprocess
import tempfile


def run(name, arguments, env=None):
    """Returns the finished process of goldsmith called as name."""
    with tempfile.TemporaryDirectory() as directory:
        link = os.path.join(directory, name)
        os.symlink(os.environ["GOLDSMITH_BIN"], link)
        return subprocess.run(
            [link] + list(arguments), capture_output=True, text=True,
            env=dict(os.environ, **(env or {})), check=False)
