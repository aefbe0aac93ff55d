"""Mounts, in goldsmith's order, made by the command line of mount."""
import os

from diskimage_builder.block_device.node import Node
from diskimage_builder.block_device.planner import exec_sudo


class MountPointNode(Node):
    def __init__(self, name, state, said, mount_base):
        super().__init__(name, state)
        self.said = said
        self.path = os.path.join(mount_base, (said["mount_point"] or "").lstrip("/"))

    def create(self):
        made = self.state["filesys"][self.said["name"]]
        if made["fstype"] != "swap":
            exec_sudo(["mkdir", "-p", self.path])
            exec_sudo(["mount", made["device"], self.path])
        order = self.state.setdefault("mount_order", [])
        order.append(self.said["mount_point"] or "none")

    def umount(self):
        kind = self.state["filesys"][self.said["name"]]["fstype"]
        if kind == "swap":
            return
        exec_sudo(["sync"])
        if kind != "vfat":
            exec_sudo(["fstrim", "--verbose", self.path])
        exec_sudo(["umount", self.path])
