"""Volumes, planned by goldsmith and made by the command lines of LVM."""
from diskimage_builder.block_device import planner
from diskimage_builder.block_device.node import Node
from diskimage_builder.block_device.planner import exec_sudo


class PvsNode(Node):
    def __init__(self, name, state, values):
        super().__init__(name, state)
        self.values = values

    def make(self):
        device = self.state["blockdev"][self.values["base"]]["device"]
        exec_sudo(["pvcreate", device] + (self.values.get("options") or []))
        self.state.setdefault("pvs", {})[self.name] = device


class VgsNode(Node):
    def __init__(self, name, state, values):
        super().__init__(name, state)
        self.values = values

    def make(self):
        devices = [self.state["pvs"][pv] for pv in self.values["base"]]
        exec_sudo(["vgcreate", self.name] + devices +
                  (self.values.get("options") or []))


class LvsNode(Node):
    def __init__(self, name, state, said, values):
        super().__init__(name, state)
        self.said = said
        self.values = values

    def make(self):
        command = ["lvcreate", "--name", self.name]
        if self.said["type"]:
            command += ["--type", self.said["type"]]
        if self.said["thin_pool"]:
            command += ["--thin-pool", self.said["thin_pool"]]
        if self.said["size_bytes"] is None:
            command += ["-l", self.said["wanted"]]
        else:
            thin = self.said["type"] == "thin"
            command += ["-V" if thin else "-L", "%dB" % self.said["size_bytes"]]
        exec_sudo(command + [self.said["group"]])
        self.state["blockdev"][self.name] = {
            "vgs": self.said["group"], "size": self.values.get("size"),
            "extents": self.values.get("extents"),
            "opts": self.values.get("options"),
            "device": "/dev/mapper/%s-%s" % (self.said["group"], self.name)}


class LVMNode(Node):
    """Makes all of them, in their order."""

    def __init__(self, name, state, nodes):
        super().__init__(name, state)
        self.nodes = nodes

    def create(self):
        for node in self.nodes:
            node.make()

    def umount(self):
        for node in self.nodes:
            if isinstance(node, LvsNode):
                path = "/dev/%s/%s" % (node.said["group"], node.name)
                exec_sudo(["lvchange", "-an", path])
        for node in self.nodes:
            if isinstance(node, VgsNode):
                exec_sudo(["vgchange", "-an", node.name])
        exec_sudo(["udevadm", "settle"])

    def cleanup(self):
        exec_sudo(["pvscan", "--cache"])


class LVMPlugin:
    """Refuses what goldsmith refuses."""

    def __init__(self, config, defaults, state):
        planner.graph([{"lvm": config}])
