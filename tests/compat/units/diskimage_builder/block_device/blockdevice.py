"""State that nodes share."""


class BlockDeviceState(dict):
    pass
