# shellcheck shell=bash
# Kernels make no initial RAM disk when they are installed: install.d makes one at its end, when all
# packages are there, finalise.d for kernels that came later.
export INITRD=No
