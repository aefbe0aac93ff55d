# shellcheck shell=bash
# Kernels make no initial RAM disk when they are installed: post-install.d makes one when all
# packages are there, finalise.d for kernels that came later.
export INITRD=No
