# Debian's archive under Ubuntu's name.
export DIB_DISTRIBUTION_MIRROR=$DIB_DEBIAN_DISTRIBUTION_MIRROR
export DIB_DEBIAN_COMPONENTS=main
export DIB_UBUNTU_MIRROR_DISTS=updates,backports
