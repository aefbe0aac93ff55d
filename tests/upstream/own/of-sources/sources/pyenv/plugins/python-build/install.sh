#!/bin/sh
# Installs what builds Pythons.
install -D "${0%/*}/python-build" /usr/local/bin/python-build
