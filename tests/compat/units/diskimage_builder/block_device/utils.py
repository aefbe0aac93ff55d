"""Sizes, as goldsmith disk plan reads those of partitions."""
from diskimage_builder.block_device import planner
from diskimage_builder.block_device.exception import BlockDeviceSetupException


def _wanted(text):
    config = [
        {"local_loop": {"name": "image0"}},
        {"partitioning": {
            "base": "image0", "label": "gpt", "partitions": [
                {"name": "p", "size": text, "mkfs": {
                    "type": "ext4", "mount": {"mount_point": "/"}}}]}},
    ]
    try:
        told = planner.plan(config)
    except BlockDeviceSetupException as error:
        raise RuntimeError(str(error)) from error
    return told["disks"][0]["partitions"][0]["wanted_bytes"]


def parse_abs_size_spec(text):
    return _wanted(text)


def parse_rel_size_spec(text, whole):
    bytes_ = _wanted(text)
    if bytes_ is not None:
        return False, bytes_
    return True, int(whole * float(text[:-1]) / 100)
