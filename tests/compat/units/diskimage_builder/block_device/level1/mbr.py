"""An MBR that goldsmith disk create writes."""
import os
import tempfile

from diskimage_builder.block_device import planner


class MBR:
    def __init__(self, name, disk_size, alignment):
        self.name = name
        self.disk_size = disk_size
        self.alignment = alignment
        self.partitions = []

    def __enter__(self):
        return self

    def add_partition(self, primaryflag, bootflag, size, ptype):
        flags = ["primary"] * primaryflag + ["boot"] * bootflag
        self.partitions.append({
            "name": "p%d" % len(self.partitions), "flags": flags,
            "size": size, "type": "0x%02x" % ptype})

    def __exit__(self, *failure):
        config = [
            {"local_loop": {"name": "image0"}},
            {"partitioning": {
                "base": "image0", "label": "mbr", "align": self.alignment,
                "partitions": self.partitions}},
        ]
        with tempfile.TemporaryDirectory(dir=os.path.dirname(self.name)) as place:
            made = os.path.join(place, "disk")
            planner.ask("create", config, "--size", "%dB" % self.disk_size, made)
            os.replace(made, self.name)
        with open(self.name, "rb") as stream:
            os.fsync(stream.fileno())
