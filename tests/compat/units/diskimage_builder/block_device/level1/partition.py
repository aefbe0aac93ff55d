"""Partitions."""
import os

from diskimage_builder.block_device import planner
from diskimage_builder.block_device.level1 import partitioning
from diskimage_builder.block_device.node import Node


class Table:
    """A partition table, planned by goldsmith and made by sgdisk's command line."""

    def __init__(self, config, values, state):
        self.config = config
        self.values = values
        self.state = state
        self.done = False

    def create(self):
        if self.done:
            return
        self.done = True
        disk = self.state["blockdev"][self.values["base"]]
        told = planner.plan(self.config, os.path.getsize(disk["image"]))
        (planned,) = [each for each in told["disks"]
                      if each["name"] == self.values["base"]]
        command = ["sgdisk", disk["device"]]
        for part in planned["partitions"]:
            number = part["number"]
            command += ["-n", "%d:0:+%dM" % (number, part["size_bytes"] >> 20),
                        "-t", "%d:%s" % (number, part["code"]),
                        "-c", "%d:%s" % (number, part["name"])]
            name = os.path.basename(disk["device"]) + "p%d" % number
            self.state["blockdev"][part["name"]] = {
                "device": "/dev/mapper/" + name}
        partitioning.exec_sudo(command)
        partitioning.exec_sudo(["sync"])
        partitioning.exec_sudo(["kpartx", "-uvs", disk["device"]])


class PartitionNode(Node):
    def __init__(self, name, state, table):
        super().__init__(name, state)
        self.table = table

    def create(self):
        self.table.create()
