"""File systems, as goldsmith says that they are, made by the command line of mkfs."""
from diskimage_builder.block_device.node import Node
from diskimage_builder.block_device.planner import exec_sudo


class FilesystemNode(Node):
    def __init__(self, name, state, said):
        super().__init__(name, state)
        self.said = said

    def create(self):
        device = self.state["blockdev"][self.said["base"]]["device"]
        kind, label, uuid = (self.said[key] for key in ("type", "label", "uuid"))
        if kind == "swap":
            command = ["mkswap", "-L", label, "-U", uuid]
        elif kind == "vfat":
            command = ["mkfs", "-t", kind, "-n", label]
        elif kind == "xfs":
            command = ["mkfs", "-t", kind, "-L", label, "-m", "uuid=" + uuid, "-q"]
        else:
            command = ["mkfs", "-t", kind, "-L", label, "-U", uuid, "-q"]
        exec_sudo(command + [device])
        self.state.setdefault("filesys", {})[self.name] = {
            "device": device, "fstype": kind}
