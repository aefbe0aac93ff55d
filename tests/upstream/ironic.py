#!/usr/bin/python3
"""Resolves an image of a registry as Ironic's conductor does, with Ironic's own code.

usage: ironic.py PACKAGES CA URL SOURCE ARCHITECTURE FILE

Prints what Ironic found as JSON, and downloads it to FILE. With an architecture of "-" the
URL is one by digest, as for kernels and ramdisks, and is downloaded at once.
"""

import importlib
import json
import os
import sys
import types

PACKAGES, CA, URL, SOURCE, ARCHITECTURE, FILE = sys.argv[1:]
sys.path.insert(0, PACKAGES)

from oslo_config import cfg  # noqa: E402


def stand_in(name, **members):
    """Puts an empty package in the place of one that needs half of OpenStack."""
    module = types.ModuleType(name)
    module.__dict__.update(members)
    sys.modules[name] = module
    parent, _, last = name.rpartition(".")
    setattr(importlib.import_module(parent), last, module)
    return module


CONF = cfg.ConfigOpts()
stand_in("ironic.conf", CONF=CONF, __path__=[os.path.join(PACKAGES, "ironic", "conf")])
for group in ("default", "exception", "oci"):
    importlib.import_module("ironic.conf." + group).register_opts(CONF)
stand_in("ironic.common.glance_service", __path__=[])
stand_in("ironic.common.glance_service.image_service", GlanceImageService=object)
stand_in("ironic.common.utils")
CONF([], project="ironic", default_config_files=[])
CONF.set_override("verify_ca", CA, group="oci")

from ironic.common.image_service import OciImageService  # noqa: E402

service = OciImageService()
if ARCHITECTURE == "-":
    found = service.show(URL)
    manifest = URL
else:
    found = service.identify_specific_image(URL, SOURCE, ARCHITECTURE)
    manifest = found["oci_image_manifest_url"]
with open(FILE, "wb") as file:
    service.download(manifest, file)
found["verified"] = service.transfer_verified_checksum
print(json.dumps(found))
