# shellcheck shell=bash
case $DISTRO_NAME in
    centos|rhel)
        export DIB_INSTALLTYPE_pip_and_virtualenv=${DIB_INSTALLTYPE_pip_and_virtualenv:-package}
        if [ "$DIB_INSTALLTYPE_pip_and_virtualenv" = source ]; then
            echo "ERROR: pip-and-virtualenv: on $DISTRO_NAME pip comes from packages; do not set DIB_INSTALLTYPE_pip_and_virtualenv to source" >&2
            exit 1
        fi
        ;;
esac
# Inside of the image, from pre-install.d on.
if [ -e /usr/local/bin/dib-python ]; then
    DIB_PYTHON_PIP="$(readlink /usr/local/bin/dib-python) -m pip"
    case $DIB_PYTHON_VERSION in
        3) DIB_PYTHON_VIRTUALENV="$(readlink /usr/local/bin/dib-python) -m venv" ;;
        *) DIB_PYTHON_VIRTUALENV="$(readlink /usr/local/bin/dib-python) -m virtualenv" ;;
    esac
    export DIB_PYTHON_PIP DIB_PYTHON_VIRTUALENV
fi
