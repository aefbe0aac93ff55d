#!/usr/bin/env python3
"""Stands in for diskimage-builder's program: goldsmith answers to its name."""

import os
import sys

PROGRAM = os.environ.get("GOLDSMITH_PROGRAM", "/goldsmith/bin/goldsmith")
os.execv(PROGRAM, ["dib-block-device"] + sys.argv[1:])
