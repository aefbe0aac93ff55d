"""Something that is made, one after the other."""


class Node:
    def __init__(self, name, state):
        self.name = name
        self.state = state

    def create(self):
        pass

    def umount(self):
        pass

    def cleanup(self):
        pass
