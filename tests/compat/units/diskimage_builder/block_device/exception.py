"""What goldsmith's refusals become."""


class BlockDeviceSetupException(Exception):
    pass
