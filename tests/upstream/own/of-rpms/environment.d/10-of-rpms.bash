# What elements of CentOS export, over a Debian that has dnf.
export DISTRO_NAME=centos
export DIB_RELEASE=9-stream
export DIB_INIT_SYSTEM=systemd
export YUM=dnf
