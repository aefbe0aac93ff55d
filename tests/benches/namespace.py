"""The mount and process namespaces that main_job measures in, and how they are left."""

import glob
import os
import shutil
import signal
import subprocess
import sys


def enter():
    """Prepares them; returns what to say about device-mapper.

    diskimage-builder maps partitions by kpartx, so by device-mapper. A kernel without it gets a
    stand-in, which nobody outside of this mount namespace sees.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(130))
    asked = subprocess.run(["dmsetup", "version"], capture_output=True, text=True)
    if asked.returncode == 0:
        return "the kernel's"
    here = os.path.dirname(os.path.abspath(__file__))
    # It also calls dmsetup where it believes to be in a container; there is nothing to do.
    for stand_in, program in [(f"{here}/kpartx", "kpartx"), ("/bin/true", "dmsetup")]:
        subprocess.run(["mount", "--bind", stand_in, shutil.which(program)], check=True)
    os.makedirs("/dev/mapper", exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/dev/mapper"], check=True)
    return ("none in this kernel; diskimage-builder gets a stand-in for kpartx "
            "(tests/benches/kpartx, partitions by BLKPG)")


def leave(place):
    """Ends all other processes of the namespace, takes off mounts and loop devices below place."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    try:
        os.kill(-1, signal.SIGKILL)
        while True:
            os.waitpid(-1, 0)
    except (ChildProcessError, ProcessLookupError):
        pass
    devices = []
    for name in glob.glob("/sys/block/loop*/loop/backing_file"):
        try:
            with open(name) as file:
                if file.read().startswith(place + "/"):
                    devices.append("/dev/" + name.split("/")[3])
        except OSError:
            continue
    with open("/proc/self/mountinfo") as file:
        points = [line.split(" ")[4] for line in file]
    for point in reversed(points):
        if point.startswith(place + "/"):
            subprocess.run(["umount", "--lazy", point], stderr=subprocess.DEVNULL)
    for device in devices:
        subprocess.run(["partx", "--delete", device], stderr=subprocess.DEVNULL)
        subprocess.run(["losetup", "--detach", device])
