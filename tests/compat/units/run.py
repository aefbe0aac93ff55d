"""Runs diskimage-builder's own unit tests against goldsmith's commands.

The tests come from an installed diskimage-builder (the first argument is its
package); what they test is replaced by the adapters beside this file, which
call the program that GOLDSMITH_BIN names. Tests of functions that no command
shows are left out, see CHOSEN.
"""
import os
import shutil
import sys
import tempfile
import unittest

BLOCK_DEVICE = "block_device/tests"
PLACE = "diskimage_builder/" + BLOCK_DEVICE

# File of the package, where it is put, the module there, and the tests that
# are chosen of it (None: all).
CHOSEN = (
    ("tests/test_elementdeps.py", "elementdeps", "TestElementDeps", None),
    ("elements/package-installs/tests/test_package_squash.py",
     "package-installs/tests", "TestPackageInstall", None),
    ("elements/svc-map/tests/test_data_merge.py",
     "svc-map/tests", "TestDataMerge", None),
    # The others are of classes that build the JSON schema and of a main
    # function that is mocked from inside.
    ("tests/test_diskimage_builder.py", "batch", "TestDib",
     ("test_build_commands_simple", "test_build_commands_merged",
      "test_build_commands_all_arguments")),
    (BLOCK_DEVICE + "/test_config.py", BLOCK_DEVICE, "TestConfigParsing", None),
    (BLOCK_DEVICE + "/test_config.py", BLOCK_DEVICE, "TestCreateGraph", None),
    (BLOCK_DEVICE + "/test_gpt.py", BLOCK_DEVICE, "TestGPT", None),
    (BLOCK_DEVICE + "/test_mbr.py", BLOCK_DEVICE, "TestMBR", None),
    (BLOCK_DEVICE + "/test_mkfs.py", BLOCK_DEVICE, "TestMkfs", None),
    (BLOCK_DEVICE + "/test_utils.py", BLOCK_DEVICE, "TestBlockDeviceUtils", None),
    (BLOCK_DEVICE + "/test_mount_order.py", BLOCK_DEVICE, "TestMountOrder", None),
    # The one of several partitions mocks methods from inside. Those of state
    # are of pickles.
    (BLOCK_DEVICE + "/test_lvm.py", BLOCK_DEVICE, "TestLVM",
     ("test_lvm_tree_to_graph", "test_lvm_invalid_config", "test_lvm_multi_pv",
      "test_lvm_multi_pv_vg", "test_lvm_spanned_vg",
      "test_lvm_thin_provision", "test_validate_lvs_type")),
)
# What tests read beside themselves, and where they look for it.
DATA = (
    (BLOCK_DEVICE + "/test_base.py", PLACE + "/test_base.py"),
    (BLOCK_DEVICE + "/test_config.py", PLACE + "/test_config.py"),
    (BLOCK_DEVICE + "/config", PLACE + "/config"),
)


def load(path, name, chosen, loader):
    sys.path.insert(0, os.path.dirname(path))
    module = __import__(os.path.basename(path)[:-3])
    sys.path.pop(0)
    case = getattr(module, name)
    names = chosen or loader.getTestCaseNames(case)
    return [case(each) for each in names]


def main():
    package = sys.argv[1]
    here = os.path.dirname(os.path.abspath(__file__))
    sys.dont_write_bytecode = True
    with tempfile.TemporaryDirectory() as place:
        copied = os.path.join(place, "units")
        shutil.copytree(here, copied)
        sys.path.insert(0, copied)
        for file, to in DATA:
            source = os.path.join(package, file)
            copy = shutil.copytree if os.path.isdir(source) else shutil.copy
            copy(source, os.path.join(copied, to))
        loader = unittest.TestLoader()
        suite = unittest.TestSuite()
        for file, directory, name, chosen in CHOSEN:
            path = os.path.join(copied, directory, os.path.basename(file))
            os.makedirs(os.path.dirname(path), exist_ok=True)
            shutil.copy(os.path.join(package, file), path)
            suite.addTests(load(path, name, chosen, loader))
        result = unittest.TextTestRunner(verbosity=2).run(suite)
    print("ran %d" % result.testsRun)
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
