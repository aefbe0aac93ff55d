"""Configurations, read and put in order by goldsmith disk graph."""
from diskimage_builder.block_device import planner
from diskimage_builder.block_device.level0.localloop import LocalLoopNode
from diskimage_builder.block_device.level1.lvm import LVMNode
from diskimage_builder.block_device.level1.lvm import LvsNode
from diskimage_builder.block_device.level1.lvm import PvsNode
from diskimage_builder.block_device.level1.lvm import VgsNode
from diskimage_builder.block_device.level1.partition import PartitionNode
from diskimage_builder.block_device.level1.partition import Table
from diskimage_builder.block_device.level2.mkfs import FilesystemNode
from diskimage_builder.block_device.level3.mount import MountPointNode
from diskimage_builder.block_device.node import Node


def config_tree_to_graph(config):
    return planner.list_form(config)


def create_graph(config, default_config, state):
    """Returns what goldsmith says, and nodes in the order that it says."""
    told = planner.graph(config)
    nodes = {}

    def add(node):
        nodes[node.name] = node

    for entry in told["nodes"]:
        ((plugin, values),) = entry.items()
        if plugin == "local_loop":
            add(LocalLoopNode(values["name"], state))
        elif plugin == "partitioning":
            table = Table(config, values, state)
            for part in values["partitions"]:
                add(PartitionNode(part["name"], state, table))
        elif plugin == "lvm":
            of_lvm = [PvsNode(pv["name"], state, pv) for pv in values["pvs"]]
            of_lvm += [VgsNode(vg["name"], state, vg) for vg in values["vgs"]]
            names = [lv["name"] for lv in values["lvs"]]
            of_lvm += [LvsNode(lv["name"], state, lv,
                               values["lvs"][names.index(lv["name"])])
                       for lv in told["volumes"] if lv["name"] in names]
            for node in of_lvm:
                add(node)
            add(LVMNode(values["name"], state, of_lvm))
        elif plugin == "mkfs":
            (said,) = [fs for fs in told["file_systems"]
                       if fs["name"] == values["name"]]
            add(FilesystemNode(values["name"], state, said))
        elif plugin == "mount":
            (said,) = [fs for fs in told["file_systems"]
                       if fs["name"] == values["base"]]
            add(MountPointNode(values["name"], state, said,
                               default_config["mount-base"]))
        else:
            add(Node(values["name"], state))
    return told, [nodes[name] for name in told["order"]]
