"""Where diskimage-builder keeps its library; its tests replace the function."""


def get_path(name):
    return name
